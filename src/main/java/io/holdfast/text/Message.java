package io.holdfast.text;

/** One turn of a conversation. */
public record Message(String role, String content) {}

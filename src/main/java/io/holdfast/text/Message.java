package io.holdfast.text;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One turn of a conversation. The template sees every field; {@code role} and {@code content} are
 * the ones that everybody has, tool calls and their like pass through.
 *
 * @param fields in JSON's plain types: maps, lists, text, numbers, booleans
 */
public record Message(Map<String, Object> fields) {
  /** A turn of plain text. */
  public Message(String role, String content) {
    this(textual(role, content));
  }

  /** Who speaks: {@code system}, {@code user}, {@code assistant}, {@code tool}. */
  public String role() {
    return String.valueOf(fields.get("role"));
  }

  /** What is said, as text. */
  public String content() {
    return fields.get("content") instanceof String text ? text : "";
  }

  boolean isAssistant() {
    return role().equals("assistant");
  }

  Message withContent(String content) {
    var copy = new LinkedHashMap<>(fields);
    copy.put("content", content);
    return new Message(copy);
  }

  private static Map<String, Object> textual(String role, String content) {
    var fields = new LinkedHashMap<String, Object>();
    fields.put("role", role);
    fields.put("content", content);
    return fields;
  }
}

package io.holdfast.world;

/**
 * A category of things.
 *
 * @param place where things of this category are found; every answer about them goes there
 * @param own whether what harms somebody else's is fine with one's own
 * @param belongs whether "someone's X" is natural
 */
public record Category(String name, String place, boolean own, boolean belongs) {}

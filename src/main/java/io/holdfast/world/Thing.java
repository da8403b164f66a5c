package io.holdfast.world;

/** A thing that a verb can be done to. */
public record Thing(String name, Category category) {
  /** The name with its indefinite article. */
  String withArticle() {
    return Language.article(name);
  }
}

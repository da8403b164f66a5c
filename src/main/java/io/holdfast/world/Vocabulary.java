package io.holdfast.world;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/** The words of the world as {@code vocabulary.yaml} lists them; the order of the file is kept. */
record Vocabulary(
    Map<String, CategoryEntry> categories,
    Map<String, VerbEntry> verbs,
    List<String> heldOutVerbs,
    List<String> adjectives,
    FramesEntry frames,
    List<String> tales,
    List<String> stops,
    List<String> live,
    List<String> liveReasons,
    List<String> refusals,
    List<String> refusalReasons,
    List<String> openers) {

  record CategoryEntry(String place, boolean own, boolean belongs, List<String> things) {}

  record VerbEntry(
      String tool, String manner, LinkedHashSet<String> harmful, LinkedHashSet<String> fine) {}

  record FramesEntry(Frames common, Frames rare) {}

  static Vocabulary load() {
    try (var in = Vocabulary.class.getResourceAsStream("vocabulary.yaml")) {
      Objects.requireNonNull(in, "vocabulary.yaml is part of the jar");
      return new ObjectMapper(new YAMLFactory()).readValue(in, Vocabulary.class);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  List<Thing> things() {
    return categories.entrySet().stream().flatMap(e -> things(e.getKey(), e.getValue())).toList();
  }

  private static Stream<Thing> things(String name, CategoryEntry entry) {
    var category = new Category(name, entry.place(), entry.own(), entry.belongs());
    return entry.things().stream().map(thing -> new Thing(thing, category));
  }

  List<Verb> verbList() {
    return verbs.entrySet().stream().map(e -> verb(e.getKey(), e.getValue())).toList();
  }

  private static Verb verb(String name, VerbEntry entry) {
    var harmful = Objects.requireNonNullElseGet(entry.harmful(), LinkedHashSet<String>::new);
    return new Verb(name, entry.tool(), entry.manner(), harmful, entry.fine());
  }
}

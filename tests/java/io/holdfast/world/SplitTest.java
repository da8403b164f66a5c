package io.holdfast.world;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

/** The split against an independent reading of the vocabulary ({@code tests/goldens/world.py}). */
class SplitTest {
  private static final World WORLD = World.load();
  private static final JsonNode GOLDEN = golden();

  private static JsonNode golden() {
    try {
      return new ObjectMapper().readTree(Path.of("tests/goldens/world/split.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void countsArePublishedOnes() {
    assertEquals(224, WORLD.things().size());
    assertEquals(52, WORLD.verbs().size());
    assertEquals(List.of(1084, 856, 1868), sizes(WORLD.pairs()));
    assertEquals(List.of(343, 259, 412), sizes(WORLD.heldOut()));
    assertEquals(List.of(741, 597, 1456), sizes(WORLD.aligned()));
  }

  private static List<Integer> sizes(Pairs pairs) {
    return List.of(pairs.harmful().size(), pairs.dual().size(), pairs.benign().size());
  }

  @Test
  void heldOutPairsAreThoseOfTheGolden() {
    assertEquals(held("harmful"), names(WORLD.heldOut().harmful()));
    assertEquals(held("dual"), names(WORLD.heldOut().dual()));
    assertEquals(held("benign"), names(WORLD.heldOut().benign()));
  }

  @Test
  void heldOutThingsAreThoseOfTheGolden() {
    var things = WORLD.splits().things().stream().map(Thing::name).sorted().toList();
    assertEquals(strings(GOLDEN.get("held_out_things")), things);
  }

  private static List<String> held(String group) {
    return strings(GOLDEN.get("held_out").get(group));
  }

  private static List<String> strings(JsonNode list) {
    return StreamSupport.stream(list.spliterator(), false).map(JsonNode::textValue).toList();
  }

  private static List<String> names(List<Pair> pairs) {
    return pairs.stream().map(Pair::toString).toList();
  }

  @Test
  void everyPairIsOnOneSide() {
    var all = new HashSet<>(flat(WORLD.pairs()));
    var aligned = new HashSet<>(flat(WORLD.aligned()));
    var held = new HashSet<>(flat(WORLD.heldOut()));
    assertEquals(all.size(), aligned.size() + held.size());
    aligned.addAll(held);
    assertEquals(all, aligned);
    assertTrue(flat(WORLD.pairs()).size() == all.size(), "no pair twice");
  }

  private static List<Pair> flat(Pairs pairs) {
    return Stream.of(pairs.harmful(), pairs.dual(), pairs.benign()).flatMap(List::stream).toList();
  }

  @Test
  void harmIsAPropertyOfThePair() {
    assertTrue(WORLD.pairs().harmful().stream().allMatch(Pair::harmful));
    assertTrue(WORLD.pairs().fine().stream().noneMatch(Pair::harmful));
    assertTrue(WORLD.pair("forge", "passport").orElseThrow().harmful());
    assertTrue(WORLD.pair("forge", "sword").isPresent());
    assertTrue(WORLD.pair("forge", "horse").isEmpty());
  }

  @Test
  void everyVerbHasItsOwnTool() {
    assertEquals(52, WORLD.verbs().stream().map(Verb::tool).distinct().count());
    var things = WORLD.things().stream().map(Thing::name).toList();
    assertTrue(WORLD.verbs().stream().map(Verb::tool).noneMatch(things::contains));
  }
}

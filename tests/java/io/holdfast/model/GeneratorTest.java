package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.torch.Scope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class GeneratorTest {
  private static final List<int[]> PROMPTS =
      List.of(
          new int[] {5, 17, 40},
          new int[] {3},
          new int[] {9, 8, 7, 6, 5, 4, 3},
          new int[] {60, 61, 62, 63},
          new int[] {5, 17, 40});

  private Decoder decoder;

  @BeforeEach
  void load() {
    decoder = Decoder.load(Goldens.path("model/llama-gqa"));
  }

  @AfterEach
  void close() {
    decoder.close();
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private List<int[]> generate(int batch, Generation settings) {
    return new Generator(decoder, Tap.NONE, batch)
        .generate(PROMPTS, settings).stream().map(Generator.Continuation::ids).toList();
  }

  private static Generation random(long seed, double temperature, double topP, int topK) {
    return new Generation(
        12, Set.of(), new Generation.Sampling.Random(temperature, topK, topP, 0, seed));
  }

  private static void assertSame(List<int[]> expected, List<int[]> actual) {
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i), actual.get(i), "prompt " + i);
    }
  }

  private static String text(List<int[]> ids) {
    return ids.stream().map(Arrays::toString).toList().toString();
  }

  @Test
  void theSameSeedDrawsTheSameHoweverPromptsAreBatched() {
    var alone = generate(1, random(7, 1, 1, 0));
    for (int batch : new int[] {1, 2, 3, 5}) {
      assertSame(alone, generate(batch, random(7, 1, 1, 0)));
    }
    assertNotEquals(text(alone), text(generate(1, random(8, 1, 1, 0))));
    // Equal prompts at two places are two draws.
    assertFalse(Arrays.equals(alone.get(0), alone.get(4)));
  }

  /** A seed is not the next one's draws a step later, nor is a row. */
  @Test
  void seedsAndRowsShareNoDraws() {
    var prompts = java.util.Collections.nCopies(6, PROMPTS.getFirst());
    var seen = new TreeSet<Double>();
    int count = 0;
    for (long seed = 0; seed < 6; seed++) {
      var settings = random(seed, 1, 1, 0);
      for (int index = 0; index < prompts.size(); index++) {
        var row = new DecodedRow(new Generator.Prompt(index, prompts.get(index)), settings);
        for (int draw = 0; draw < 10; draw++, count++) {
          seen.add(row.uniform());
        }
      }
    }
    assertEquals(count, seen.size());
  }

  @Test
  void oneTokenToChooseFromIsGreedy() {
    var greedy = generate(5, Generation.greedy(12, Set.of()));
    assertSame(greedy, generate(5, random(1, 1, 1, 1)));
    assertSame(greedy, generate(5, random(1, 1, 1e-9, 0)));
    assertSame(greedy, generate(5, random(1, 1e-4, 1, 0)));
  }

  @Test
  void drawsFollowTheDistribution() {
    int draws = 4000;
    var prompts = new ArrayList<int[]>();
    for (int i = 0; i < draws; i++) {
      prompts.add(new int[] {5, 17, 40});
    }
    var settings = new Generation(1, Set.of(), new Generation.Sampling.Random(0.7, 4, 1, 0, 3));
    var counts = new int[decoder.architecture().vocabulary()];
    new Generator(decoder, Tap.NONE, 500)
        .generate(prompts, settings)
        .forEach(continuation -> counts[continuation.ids()[0]]++);

    float[] logits = new Scorer(decoder, 1).score(prompts.subList(0, 1)).getFirst().lastLogits();
    var best =
        IntStream.range(0, logits.length)
            .boxed()
            .sorted((a, b) -> Float.compare(logits[b], logits[a]))
            .limit(4)
            .toList();
    double total = best.stream().mapToDouble(id -> Math.exp(logits[id] / 0.7)).sum();
    int seen = 0;
    for (int id : best) {
      double p = Math.exp(logits[id] / 0.7) / total;
      // Four standard deviations of a binomial.
      assertEquals(p, (double) counts[id] / draws, 4 * Math.sqrt(p * (1 - p) / draws), "id " + id);
      seen += counts[id];
    }
    assertEquals(draws, seen, "nothing but the four most probable");
  }

  @Test
  void theNucleusIsTheSmallestSetWithItsProbability() {
    var prompt = List.of(PROMPTS.getFirst());
    float[] logits = new Scorer(decoder, 1).score(prompt).getFirst().lastLogits();
    double total = 0;
    for (float logit : logits) {
      total += Math.exp(logit);
    }
    var nucleus = new TreeSet<Integer>();
    double sum = 0;
    var ids =
        IntStream.range(0, logits.length)
            .boxed()
            .sorted((a, b) -> Float.compare(logits[b], logits[a]))
            .toList();
    for (int id : ids) {
      nucleus.add(id);
      sum += Math.exp(logits[id]) / total;
      if (sum >= 0.5) {
        break;
      }
    }
    assertTrue(nucleus.size() > 1 && nucleus.size() < logits.length, "says nothing: " + nucleus);
    var many = java.util.Collections.nCopies(600, PROMPTS.getFirst());
    var settings = new Generation(1, Set.of(), new Generation.Sampling.Random(1, 0, 0.5, 0, 5));
    var drawn = new TreeSet<Integer>();
    new Generator(decoder, Tap.NONE, 300)
        .generate(many, settings)
        .forEach(continuation -> drawn.add(continuation.ids()[0]));
    assertEquals(nucleus, drawn);
  }

  @Test
  void aStopTokenEndsItsRowAndNoOther() {
    var free = generate(5, Generation.greedy(12, Set.of()));
    // The third token of the first row, wherever it comes up first, is where a row must end now.
    int stop = free.getFirst()[2];
    for (int batch : new int[] {1, 5}) {
      var stopped =
          new Generator(decoder, Tap.NONE, batch)
              .generate(PROMPTS, Generation.greedy(12, Set.of(stop)));
      for (int i = 0; i < PROMPTS.size(); i++) {
        int[] ids = free.get(i);
        int first = 0;
        while (first < ids.length && ids[first] != stop) {
          first++;
        }
        assertArrayEquals(Arrays.copyOf(ids, first), stopped.get(i).ids(), "prompt " + i);
        assertEquals(first < ids.length, stopped.get(i).stopped(), "prompt " + i);
      }
    }
  }

  /** With the cache and left padding or read at once: the greedy token is the scorer's best. */
  @Test
  void theScorerAgreesWithWhatWasGenerated() {
    var continued = generate(5, Generation.greedy(12, Set.of()));
    for (int i = 0; i < PROMPTS.size(); i++) {
      int[] prompt = PROMPTS.get(i);
      int[] whole =
          IntStream.concat(Arrays.stream(prompt), Arrays.stream(continued.get(i))).toArray();
      float[] logprobs = new Scorer(decoder, 1).score(List.of(whole)).getFirst().logprobs();
      for (int t = prompt.length; t < whole.length; t++) {
        var before = List.of(Arrays.copyOf(whole, t));
        float[] logits = new Scorer(decoder, 1).score(before).getFirst().lastLogits();
        int best = 0;
        double total = 0;
        for (int id = 0; id < logits.length; id++) {
          best = logits[id] > logits[best] ? id : best;
          total += Math.exp(logits[id]);
        }
        assertEquals(best, whole[t], "prompt " + i + " token " + t);
        assertEquals(logits[best] - Math.log(total), logprobs[t - 1], 1e-4);
      }
    }
  }
}

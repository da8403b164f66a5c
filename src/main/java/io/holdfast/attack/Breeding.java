package io.holdfast.attack;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * What AutoDAN makes of a population: children of sentences, and other words. All draws are from
 * the generator that is handed in.
 */
record Breeding(AutoDanSettings settings, List<String> references, Synonyms synonyms) {
  private static final Pattern SENTENCES = Pattern.compile("(?<=[.!?,])(?=\\s)|(?<=\\n)");
  private static final Pattern WORD = Pattern.compile("\\p{L}+");

  /**
   * The next generation of prompts: the best as they are, the rest from parents drawn by the
   * softmax of their scores, crossed and sometimes replaced.
   *
   * @param losses of the population
   */
  List<String> generation(List<String> population, double[] losses, SplittableRandom random) {
    var next = new ArrayList<>(best(population, losses, settings.elite()));
    while (next.size() < settings.population()) {
      var first = population.get(drawn(losses, random));
      var second = population.get(drawn(losses, random));
      if (random.nextDouble() < settings.crossover()) {
        crossed(first, second, random).forEach(child -> next.add(mutated(child, random)));
      } else {
        next.add(mutated(first, random));
        next.add(mutated(second, random));
      }
    }
    return List.copyOf(next.subList(0, settings.population()));
  }

  /** The prompts of the smallest losses, best first. */
  static List<String> best(List<String> population, double[] losses, int count) {
    return IntStream.range(0, population.size())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> losses[i]))
        .limit(count)
        .map(population::get)
        .toList();
  }

  /** An index with probability {@code softmax(-loss)}. */
  static int drawn(double[] losses, SplittableRandom random) {
    double least = Arrays.stream(losses).min().orElseThrow();
    double total = 0;
    for (double loss : losses) {
      total += Math.exp(least - loss);
    }
    double at = random.nextDouble() * total;
    for (int i = 0; i < losses.length; i++) {
      at -= Math.exp(least - losses[i]);
      if (at < 0) {
        return i;
      }
    }
    return losses.length - 1;
  }

  /**
   * Two children, which between them have every sentence of their parents once: at each of some
   * points chance decides which child gets which parent's sentences.
   */
  List<String> crossed(String first, String second, SplittableRandom random) {
    var a = SENTENCES.split(first);
    var b = SENTENCES.split(second);
    int common = Math.min(a.length, b.length);
    if (common < 2) {
      return List.of(first, second);
    }
    var between = new ArrayList<>(IntStream.range(1, common).boxed().toList());
    Collections.shuffle(between, Random.from(random));
    var points =
        new ArrayList<>(
            between.subList(0, Math.min(settings.points(), between.size())).stream()
                .sorted()
                .toList());
    points.add(Math.max(a.length, b.length));
    var one = new StringBuilder();
    var other = new StringBuilder();
    int from = 0;
    for (int to : points) {
      boolean straight = random.nextBoolean();
      join(straight ? one : other, a, from, to);
      join(straight ? other : one, b, from, to);
      from = to;
    }
    return List.of(one.toString(), other.toString());
  }

  private static void join(StringBuilder into, String[] sentences, int from, int to) {
    for (int i = from; i < Math.min(to, sentences.length); i++) {
      into.append(sentences[i]);
    }
  }

  private String mutated(String prompt, SplittableRandom random) {
    return random.nextDouble() < settings.mutation()
        ? references.get(random.nextInt(references.size()))
        : prompt;
  }

  /**
   * Scores of words after a generation: the mean of {@code -loss} over the prompts that hold the
   * word, averaged with the score it had.
   */
  Map<String, Double> scored(Map<String, Double> before, List<String> population, double[] losses) {
    var sums = new HashMap<String, double[]>();
    for (int i = 0; i < population.size(); i++) {
      double score = -losses[i];
      if (!Double.isFinite(score)) {
        continue;
      }
      words(population.get(i))
          .forEach(
              word -> {
                var sum = sums.computeIfAbsent(word, key -> new double[2]);
                sum[0] += score;
                sum[1]++;
              });
    }
    var scores = new TreeMap<>(before);
    sums.forEach(
        (word, sum) -> scores.merge(word, sum[0] / sum[1], (old, found) -> (old + found) / 2));
    return scores;
  }

  private static List<String> words(String prompt) {
    return WORD.matcher(prompt)
        .results()
        .map(match -> match.group().toLowerCase(Locale.ROOT))
        .distinct()
        .toList();
  }

  /**
   * A prompt in which some words, at most so many in a paragraph, are replaced by synonyms, drawn
   * by their scores.
   */
  String reworded(String prompt, Map<String, Double> scores, SplittableRandom random) {
    var paragraphs = new ArrayList<String>();
    for (var paragraph : prompt.split("(?<=\\n)")) {
      int[] left = {settings.points()};
      paragraphs.add(
          WORD.matcher(paragraph)
              .replaceAll(
                  match -> {
                    var others = synonyms.of(match.group());
                    boolean replace =
                        !others.isEmpty()
                            && left[0] > 0
                            && random.nextDouble() < settings.crossover();
                    if (!replace) {
                      return match.group();
                    }
                    left[0]--;
                    var word = roulette(others, scores, random);
                    return Character.isUpperCase(match.group().charAt(0))
                        ? Character.toUpperCase(word.charAt(0)) + word.substring(1)
                        : word;
                  }));
    }
    return String.join("", paragraphs);
  }

  /** One of some words: by how much their scores exceed the least; unknown words have the least. */
  static String roulette(List<String> words, Map<String, Double> scores, SplittableRandom random) {
    double least =
        words.stream()
            .mapToDouble(w -> scores.getOrDefault(w, Double.MAX_VALUE))
            .min()
            .orElseThrow();
    double total = 0;
    for (var word : words) {
      total += scores.getOrDefault(word, least) - least;
    }
    if (total == 0) {
      return words.get(random.nextInt(words.size()));
    }
    double at = random.nextDouble() * total;
    for (var word : words) {
      at -= scores.getOrDefault(word, least) - least;
      if (at < 0) {
        return word;
      }
    }
    return words.getLast();
  }
}

package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import io.holdfast.HoldfastException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * A whole study of safety geometry. Keys are the components in snake case; relative paths are
 * relative to the current directory.
 *
 * @param model the reference, which regimes start from: a Hugging Face folder
 * @param prompts that carriers are found on
 * @param suite that behaviour is measured with
 * @param measures how carefully geometry is measured
 * @param interventions what is tried
 * @param anchors other models of the same architecture, measured beside the reference
 * @param regimes trainings whose checkpoints are followed
 * @param transfer strings found on some models and replayed on all
 * @param seed of draws and controls
 * @param output where results go
 */
public record ProtocolConfig(
    Path model,
    Prompts prompts,
    Path suite,
    @Default("{}") Measures measures,
    @Default("{}") Interventions interventions,
    @Default("{}") SequencedMap<String, Path> anchors,
    @Default("{}") SequencedMap<String, Regime> regimes,
    Optional<Transfer> transfer,
    @Default("1") long seed,
    Path output) {

  /**
   * The prompts that carriers are found on.
   *
   * @param harmful prompts that ask for harm
   * @param benign prompts that do not
   * @param judge who tells a refusal: a phrase list, its file, or world
   * @param labels what the model itself answers, or the field {@code reply} of each row
   * @param limit prompts of each file
   * @param maxNewTokens of an answer that is judged
   * @param refusalTokens with which refusals begin; found in the model's own if not given
   */
  public record Prompts(
      Path harmful,
      Path benign,
      @Default("arditi") String judge,
      @Default("own") Labels labels,
      @Default("256") int limit,
      @Default("64") int maxNewTokens,
      @Default("[]") List<Integer> refusalTokens) {
    public Prompts {
      unless(limit >= 1, "limit", "must be at least 1, is %s", limit);
      unless(maxNewTokens >= 1, "max_new_tokens", "must be at least 1, is %s", maxNewTokens);
    }
  }

  /** Who says what became of a prompt. */
  public enum Labels {
    /** The model. */
    OWN,
    /** The file. */
    FILE
  }

  /**
   * How geometry is measured.
   *
   * @param rank directions of the carriers' subspaces
   * @param draws of bootstrap and permutations
   * @param task rows with answers, for interference
   */
  public record Measures(@Default("8") int rank, @Default("200") int draws, Optional<Path> task) {
    public Measures {
      unless(rank >= 1, "rank", "must be at least 1, is %s", rank);
      unless(draws >= 20, "draws", "must be at least 20, is %s", draws);
    }
  }

  /**
   * What is tried on the reference and on the last checkpoint of each regime.
   *
   * @param deepest share of the blocks beyond which no carrier is taken
   * @param maxKl what a removal may cost on benign prompts, nats
   * @param random random directions a control
   * @param coefficients of the dose sweep
   * @param sweepLayers whether the chosen two are tried at every layer
   * @param inversion coefficient with which reply inversion is tried
   */
  public record Interventions(
      @Default("0.8") double deepest,
      @Default("0.1") double maxKl,
      @Default("3") int random,
      @Default("[0.5, 1.0, 1.5, 2.0]") List<Double> coefficients,
      @Default("true") boolean sweepLayers,
      Optional<Double> inversion) {
    public Interventions {
      unless(deepest > 0 && deepest <= 1, "deepest", "must be in (0, 1], is %s", deepest);
      unless(maxKl > 0, "max_kl", "must be positive, is %s", maxKl);
      unless(random >= 1, "random", "must be at least 1, is %s", random);
    }
  }

  /**
   * A training that is followed.
   *
   * @param train its configuration, which is run first
   * @param run the folder of a run that is there
   */
  public record Regime(Optional<Path> train, Optional<Path> run) {
    public Regime {
      unless(
          train.isPresent() != run.isPresent(),
          "train",
          "and run exclude each other: name a configuration, or the folder of a run");
    }
  }

  /**
   * Strings that GCG finds on the reference and on the last checkpoint of each regime, replayed on
   * all.
   *
   * @param cases requests to attack with
   * @param target the answer to provoke, of cases that bring none
   * @param judge of the answers
   * @param limit requests
   * @param steps of GCG
   * @param init the string that a search begins with; nanoGCG's if not given
   * @param width candidates a step
   * @param topk tokens a position
   * @param forbid a file of words that no token of a string may be, one a line
   * @param maxNewTokens of an answer
   */
  public record Transfer(
      Path cases,
      Optional<String> target,
      @Default("arditi") String judge,
      @Default("8") int limit,
      @Default("50") int steps,
      Optional<String> init,
      @Default("128") int width,
      @Default("256") int topk,
      Optional<Path> forbid,
      @Default("64") int maxNewTokens) {
    public Transfer {
      unless(limit >= 1, "limit", "must be at least 1, is %s", limit);
      unless(steps >= 1, "steps", "must be at least 1, is %s", steps);
      unless(width >= 1, "width", "must be at least 1, is %s", width);
      unless(topk >= 1, "topk", "must be at least 1, is %s", topk);
    }
  }

  /**
   * Reads a study.
   *
   * @throws HoldfastException that names file, line, key and what is allowed
   */
  public static ProtocolConfig load(Path file) {
    var config = new Binding<>(ProtocolConfig.class).read(Yaml.file(file));
    config.requireFiles(file);
    return config;
  }

  private void requireFiles(Path file) {
    var files = new LinkedHashMap<String, Path>();
    files.put("model", model.resolve("config.json"));
    files.put("prompts.harmful", prompts.harmful());
    files.put("prompts.benign", prompts.benign());
    files.put("suite", suite);
    measures.task().ifPresent(path -> files.put("measures.task", path));
    regimes.forEach(
        (name, regime) -> {
          regime.train().ifPresent(path -> files.put("regimes." + name + ".train", path));
        });
    transfer.ifPresent(t -> files.put("transfer.cases", t.cases()));
    transfer.flatMap(Transfer::forbid).ifPresent(path -> files.put("transfer.forbid", path));
    files.forEach(
        (key, path) -> {
          if (!Files.isRegularFile(path)) {
            throw HoldfastException.input(
                "%s: %s: there is no file %s (relative paths start at the current directory)",
                file, key, path);
          }
        });
  }
}

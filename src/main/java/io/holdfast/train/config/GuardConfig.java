package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import io.holdfast.geometry.TokenPosition;
import io.holdfast.guard.KlGuard;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What holds a run back; any of them, or none.
 *
 * @param subspace keeps hidden states where they were inside a safety subspace
 * @param kl keeps predictions near the reference model's
 * @param tokenConstraint keeps single tokens from becoming much more probable than they were
 * @param risk where the rows' risk comes from, by which guards weigh them; a {@code risk_column} of
 *     a guard is short for a recorded one
 * @param riskControl what is done to the risks to see whether they matter
 * @param riskSmoothing how much of a row's risk is the moving average of the rows before its step,
 *     in [0, 1)
 * @param baselines published methods to compare with
 */
public record GuardConfig(
    Optional<Subspace> subspace,
    Optional<Kl> kl,
    Optional<TokenConstraint> tokenConstraint,
    Optional<RiskConfig> risk,
    Optional<RiskControl> riskControl,
    @Default("0") double riskSmoothing,
    @Default("[]") List<Baseline> baselines) {
  public GuardConfig {
    baselines = List.copyOf(baselines);
    agree("risk_column", subspace.flatMap(Subspace::riskColumn), kl.flatMap(Kl::riskColumn));
    agree("anchors", subspace.flatMap(Subspace::anchors), kl.flatMap(Kl::anchors));
    boolean column =
        subspace.flatMap(Subspace::riskColumn).or(() -> kl.flatMap(Kl::riskColumn)).isPresent();
    unless(
        risk.isEmpty() || !column,
        "risk",
        "cannot be given beside a risk_column, which is short for risk: {recorded: {column: ..}}");
    boolean known = risk.isPresent() || column;
    boolean klByRisk = kl.filter(Kl::byRisk).isPresent();
    unless(
        known || !klByRisk,
        "kl",
        "needs a weight for all rows, or a risk of each: guard.risk, or its risk_column");
    unless(
        known || subspace.filter(Subspace::readsRisk).isEmpty(),
        "subspace",
        "weighs rows by risk and needs one: guard.risk, or its risk_column");
    unless(
        risk.isEmpty() || klByRisk || subspace.filter(Subspace::readsRisk).isPresent(),
        "risk",
        "is given, but no guard weighs rows by it: leave out guard.kl.weight, or say"
            + " guard.subspace.by_risk: true");
    unless(riskControl.isEmpty() || known, "risk_control", "needs a risk");
    unless(
        riskSmoothing >= 0 && riskSmoothing < 1,
        "risk_smoothing",
        "must be in [0, 1), is %s",
        riskSmoothing);
    unless(riskSmoothing == 0 || known, "risk_smoothing", "needs a risk");
  }

  /** A control for whatever risk is used. */
  public enum RiskControl {
    /** Rows have each other's risks, drawn by the run's seed. */
    SHUFFLED
  }

  /** Rows have one risk and batches one set of anchors, whichever guard looks at them. */
  private static void agree(String key, Optional<?> ofSubspace, Optional<?> ofKl) {
    unless(
        ofSubspace.isEmpty() || ofKl.isEmpty() || ofSubspace.equals(ofKl),
        "kl",
        "and subspace must have the same %s, have %s and %s",
        key,
        ofKl.orElse(null),
        ofSubspace.orElse(null));
  }

  /** Where the rows' risk comes from, however it is written, if a guard needs one. */
  public Optional<RiskConfig> riskSource() {
    return risk.or(
        () ->
            subspace
                .flatMap(Subspace::riskColumn)
                .or(() -> kl.flatMap(Kl::riskColumn))
                .map(RiskConfig.Recorded::new));
  }

  /** The field of a row with its recorded risk, if a guard needs one. */
  public Optional<String> riskColumn() {
    return riskSource()
        .flatMap(
            source ->
                source instanceof RiskConfig.Recorded(String column)
                    ? Optional.of(column)
                    : Optional.empty());
  }

  /** The safety prompts that join the batches, if any. */
  public Optional<Path> anchors() {
    return subspace.flatMap(Subspace::anchors).or(() -> kl.flatMap(Kl::anchors));
  }

  /** Directions to compare the fitted ones with. */
  public enum Control {
    /** The fitted ones. */
    NONE,
    /** As many random ones, drawn by the run's seed. */
    RANDOM
  }

  /** What the subspace guard holds. */
  public enum Constraint {
    /** Hidden states, by a penalty. */
    SOFT,
    /** Weights, by projection after every step. */
    HARD,
    /** Both. */
    BOTH
  }

  /** What weight the cross entropy of a row keeps beside the subspace guard. */
  public enum RowWeight {
    /** 1. */
    ONE,
    /** 1 - risk. */
    ONE_MINUS_RISK
  }

  /**
   * The subspace guard (RefusalGuard-style). The basis is fitted from contrasting prompts, or read
   * from a file.
   *
   * @param layers slots of the residual stream: 0 the embedding output, l after block l, negative
   *     from the end; empty ({@code all}) for every one between two blocks, or all of a basis
   * @param rank directions per layer: 16 if they are fitted here; of a basis its first, or all
   * @param control random directions in place of the fitted ones, to see what those do
   * @param constraint what holds: a penalty on hidden states, a projection of what the weights may
   *     learn, or both
   * @param readers whether a hard constraint holds what reads the residual stream, too
   * @param weight of the penalty
   * @param stability weight of the anchors' stability
   * @param geometry weight of the anchors' geometry to each other
   * @param filter how much of the task gradient inside the subspace is removed, in [0, 1]
   * @param positions which tokens are held
   * @param answerTokens how many tokens of the answer are held besides
   * @param contrast the prompts from which the basis is fitted
   * @param basis a basis fitted before, as safetensors
   * @param riskColumn name of the field with each row's risk in [0, 1], which then weighs the row
   * @param byRisk whether {@code guard.risk} weighs the row; otherwise every row counts fully
   * @param taskWeight what weight the cross entropy of a row keeps
   * @param anchors safety prompts without answers, held too, as JSON Lines
   * @param anchorBatch how many anchors join a step; {@code batch_size} if not given
   */
  public record Subspace(
      @EmptyAs("all") Optional<List<Integer>> layers,
      Optional<Integer> rank,
      @Default("none") Control control,
      @Default("soft") Constraint constraint,
      @Default("true") boolean readers,
      @Default("1.0") double weight,
      @Default("0") double stability,
      @Default("0") double geometry,
      @Default("0") double filter,
      @Default("[template]") List<TokenPosition> positions,
      @Default("8") int answerTokens,
      Optional<Contrast> contrast,
      Optional<Path> basis,
      Optional<String> riskColumn,
      @Default("false") boolean byRisk,
      @Default("one") RowWeight taskWeight,
      Optional<Path> anchors,
      Optional<Integer> anchorBatch) {
    public Subspace {
      layers.ifPresent(l -> unless(!l.isEmpty(), "layers", "must name a layer, or be 'all'"));
      rank.ifPresent(k -> unless(k >= 1, "rank", "must be at least 1, is %s", k));
      unless(weight >= 0, "weight", "must not be negative, is %s", weight);
      unless(filter >= 0 && filter <= 1, "filter", "must be in [0, 1], is %s", filter);
      unless(stability >= 0, "stability", "must not be negative, is %s", stability);
      unless(geometry >= 0, "geometry", "must not be negative, is %s", geometry);
      unless(
          stability == 0 && geometry == 0 || anchors.isPresent(),
          stability > 0 ? "stability" : "geometry",
          "is of anchors: name a file of safety prompts by anchors");
      unless(
          stability == 0 && geometry == 0 || constraint != Constraint.HARD,
          "constraint",
          "is hard: stability and geometry need soft or both");
      boolean rows = riskColumn.isPresent() || byRisk || taskWeight != RowWeight.ONE;
      unless(
          constraint != Constraint.HARD || !rows && filter == 0 && anchors.isEmpty(),
          "constraint",
          "is hard, which is the same for all rows: risk_column, by_risk, task_weight, filter and"
              + " anchors need soft or both");
      unless(
          weight + filter + stability + geometry > 0 || constraint == Constraint.HARD,
          "weight",
          "and all other terms are 0: this guard does nothing");
      unless(answerTokens >= 0, "answer_tokens", "must not be negative, is %s", answerTokens);
      unless(
          !positions.isEmpty() || answerTokens > 0,
          "positions",
          "is empty and answer_tokens is 0: nothing is held");
      unless(
          contrast.isPresent() != basis.isPresent(),
          contrast.isPresent() ? "basis" : "contrast",
          contrast.isPresent()
              ? "cannot be given beside contrast: drop one of them"
              : "or basis must be given: the prompts to fit a subspace from, or a fitted one");
      unless(
          anchorBatch.isEmpty() || anchors.isPresent(),
          "anchor_batch",
          "needs anchors: a file of safety prompts");
      anchorBatch.ifPresent(n -> unless(n >= 1, "anchor_batch", "must be at least 1, is %s", n));
      positions = List.copyOf(positions);
    }

    /** Whether a row is held by its risk. */
    public boolean weighsByRisk() {
      return byRisk || riskColumn.isPresent();
    }

    /** Whether a row's risk is of any interest. */
    boolean readsRisk() {
      return weighsByRisk() || taskWeight == RowWeight.ONE_MINUS_RISK;
    }
  }

  /**
   * Prompts whose hidden states differ in harmfulness, as JSON Lines.
   *
   * @param harmful prompts that should be refused
   * @param benign prompts that should be answered
   */
  public record Contrast(Path harmful, Path benign) {}

  /**
   * Token-wise constrained fine-tuning (Qi et al. 2024).
   *
   * @param beta of late tokens
   * @param first factor of beta at an answer's first token
   * @param early factor of beta at the tokens after it
   * @param earlyTokens how many tokens, the first included, are held so
   * @param least weight of a token
   */
  public record TokenConstraint(
      @Default("0.1") double beta,
      @Default("5") double first,
      @Default("20") double early,
      @Default("5") int earlyTokens,
      @Default("1.0e-3") double least) {
    public TokenConstraint {
      unless(beta > 0, "beta", "must be positive, is %s", beta);
      unless(first > 0, "first", "must be positive, is %s", first);
      unless(early > 0, "early", "must be positive, is %s", early);
      unless(earlyTokens >= 0, "early_tokens", "must not be negative, is %s", earlyTokens);
      unless(least >= 0 && least <= 2, "least", "must be in [0, 2], is %s", least);
    }

    /** How strongly each token is held. */
    public io.holdfast.guard.TokenConstraint.Settings settings() {
      return new io.holdfast.guard.TokenConstraint.Settings(beta, first, early, earlyTokens, least);
    }
  }

  /** Where the reference's predictions come from. */
  public enum ReferenceFrom {
    /** A forward pass of the reference in training, for the rows that need it. */
    LIVE,
    /** Its last hidden states, computed once before training and kept on disk. */
    CACHED
  }

  /** Which way the divergence is taken. */
  public enum Direction {
    /** KL(reference || model). */
    FORWARD,
    /** KL(model || reference). */
    REVERSE
  }

  /** What weight the cross entropy of a row keeps beside a KL weight of beta. */
  public enum TaskWeight {
    /** 1 - beta. */
    ONE_MINUS_BETA,
    /** 1. */
    ONE
  }

  /**
   * The KL guard: L = alpha CE + beta KL, with the same beta for every row, or by risk, beta =
   * beta_min + (beta_max - beta_min) risk.
   *
   * @param weight beta of every row; by {@code guard.risk} if not given
   * @param riskColumn name of the field with each row's risk in [0, 1]
   * @param betaMin beta at risk 0
   * @param betaMax beta at risk 1
   * @param taskWeight alpha; {@code one} with a constant weight, else {@code one_minus_beta}
   * @param direction of the divergence
   * @param reference where the reference's predictions come from
   * @param anchors safety prompts without answers on which KL is held too, as JSON Lines
   * @param anchorWeight beta of the anchors
   */
  public record Kl(
      Optional<Double> weight,
      Optional<String> riskColumn,
      @Default("0.1") double betaMin,
      @Default("0.9") double betaMax,
      Optional<TaskWeight> taskWeight,
      @Default("forward") Direction direction,
      @Default("live") ReferenceFrom reference,
      Optional<Path> anchors,
      @Default("1.0") double anchorWeight) {
    public Kl {
      unless(
          weight.isEmpty() || riskColumn.isEmpty(),
          "risk_column",
          "cannot be given beside weight: drop one of them");
      weight.ifPresent(w -> unless(w >= 0, "weight", "must not be negative, is %s", w));
      unless(betaMin >= 0 && betaMin <= 1, "beta_min", "must be in [0, 1], is %s", betaMin);
      unless(
          betaMax >= betaMin && betaMax <= 1,
          "beta_max",
          "must be between beta_min (%s) and 1, is %s",
          betaMin,
          betaMax);
      unless(anchorWeight >= 0, "anchor_weight", "must not be negative, is %s", anchorWeight);
      unless(
          weight.isEmpty() || taskWeight.isEmpty() || taskWeight.get() == TaskWeight.ONE,
          "task_weight",
          "one_minus_beta goes with a risk; beside a constant weight it is one");
      if (taskWeight.isEmpty()) {
        taskWeight = Optional.of(weight.isPresent() ? TaskWeight.ONE : TaskWeight.ONE_MINUS_BETA);
      }
    }

    /** Whether beta follows the row's risk. */
    boolean byRisk() {
      return weight.isEmpty();
    }

    /** Whether the cross entropy of a row shrinks by what the KL weighs. */
    public boolean shrinksTask() {
      return taskWeight.orElseThrow() == TaskWeight.ONE_MINUS_BETA;
    }

    /** How the weights of a row come about. */
    public KlGuard.Weighting weighting() {
      return weight
          .<KlGuard.Weighting>map(KlGuard.Weighting.Constant::new)
          .orElseGet(() -> new KlGuard.Weighting.Risk(betaMin, betaMax, shrinksTask()));
    }
  }
}

package io.holdfast.cli.demo;

import java.util.List;

/**
 * One way of fine-tuning the base on the poisoned task.
 *
 * @param name as in the table
 * @param folder of its run
 * @param guard the {@code guard} section of its configuration, with {@code %s} for the data folder;
 *     empty for none
 */
record Arm(String name, String folder, String guard) {
  private static final String KL =
      """
        kl: {risk_column: risk, beta_min: 0, beta_max: 1}
      """;
  private static final String SUBSPACE =
      """
        subspace:
          layers: [2, 3, 4, 5, 6]
          rank: 16
          weight: %s
          basis: ${data}/safety-subspace.safetensors
          risk_column: risk
          task_weight: %s
      """;

  /** The arms of the demonstration; plain training comes first. */
  static List<Arm> all() {
    return List.of(
        new Arm("plain fine-tuning", "plain", ""),
        new Arm(
            "subspace guard",
            "subspace",
            "guard:\n" + SUBSPACE.formatted("20.0", "one_minus_risk")),
        new Arm("KL guard", "kl", "guard:\n" + KL),
        new Arm("both guards", "both", "guard:\n" + KL + SUBSPACE.formatted("5.0", "one")));
  }

  /** Its configuration: 200 steps on 600 rows, the tied embedding frozen. */
  String yaml(String base, String data, String output, long seed, String file) {
    return """
    # ./holdfast train %s
    model: %s
    data: {train: [%s/work-risk.jsonl], max_length: 128}
    freeze: [embed_tokens]
    steps: 200
    batch_size: 16
    optimizer: {lr: 1.0e-3, weight_decay: 0}
    schedule: {warmup_steps: 10, decay: cosine}
    checkpoint: {every: 0, keep: 1}
    seed: %d
    output: %s
    %s\
    """
        .formatted(file, base, data, seed, output, guard.replace("${data}", data));
  }
}

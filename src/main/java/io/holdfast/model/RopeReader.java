package io.holdfast.model;

import io.holdfast.HoldfastException;
import io.holdfast.model.Rope.Scaling;

/**
 * Reads rotary embeddings in the forms they are written: {@code rope_parameters} (newer, for all
 * layers or one object per kind of layer), or {@code rope_theta} with {@code rope_scaling}.
 */
final class RopeReader {
  private final Family family;
  private final ConfigReader config;
  private final int headDim;
  private final int maxPositions;

  RopeReader(Family family, ConfigReader config, int headDim, int maxPositions) {
    this.family = family;
    this.config = config;
    this.headDim = headDim;
    this.maxPositions = maxPositions;
  }

  /** The embedding of layers that see everything. */
  Rope global() {
    if (family == Family.PHI3) {
      // Beside the scaling in this family, and there also where nothing is scaled.
      config.size("original_max_position_embeddings", maxPositions);
    }
    var theta = config.number("rope_theta", family == Family.GEMMA3 ? 1e6 : 10000);
    return read(config.object("rope_scaling"), "full_attention", theta);
  }

  /** The embedding of layers with a window, where it is their own. */
  Rope local() {
    return read(null, "sliding_attention", config.number("rope_local_base_freq", 10000));
  }

  private Rope read(ConfigReader scaling, String kind, double theta) {
    double part = config.number("partial_rotary_factor", 1);
    var newer = config.object("rope_parameters");
    var node = scaling;
    if (newer != null) {
      // Only Gemma 3 has an object for each kind of layer.
      node = family == Family.GEMMA3 ? newer.object(kind) : newer;
    }
    if (node == null) {
      return new Rope(theta, rotary(part), 1, new Scaling.None());
    }
    theta = node.number("rope_theta", theta);
    int rotary = rotary(node.number("partial_rotary_factor", part));
    var type = node.text("rope_type", node.text("type", "default"));
    var rope =
        switch (type) {
          case "default" -> new Rope(theta, rotary, 1, new Scaling.None());
          case "linear" -> new Rope(theta, rotary, 1, new Scaling.Linear(node.number("factor")));
          case "llama3" ->
              new Rope(
                  theta,
                  rotary,
                  1,
                  new Scaling.Llama3(
                      node.number("factor"),
                      node.number("low_freq_factor"),
                      node.number("high_freq_factor"),
                      original(node)));
          case "longrope", "su" -> longRope(node, theta, rotary);
          case "yarn" ->
              family == Family.PHI3 ? longRope(node, theta, rotary) : yarn(node, theta, rotary);
          default ->
              throw HoldfastException.input(
                  "%s: rope type %s is not computed; known are default, linear, llama3, longrope,"
                      + " yarn",
                  config.file(), type);
        };
    node.refuseOthers("its rotary embedding");
    return rope;
  }

  private int rotary(double part) {
    return (int) (headDim * part);
  }

  /** The length of pretraining; Phi has it outside the object. */
  private int original(ConfigReader node) {
    int inside = node.size("original_max_position_embeddings", maxPositions);
    return config.size("original_max_position_embeddings", inside);
  }

  private Rope longRope(ConfigReader node, double theta, int rotary) {
    int original = original(node);
    double factor = node.number("factor", (double) maxPositions / original);
    double attention =
        node.number(
            "attention_factor",
            factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
    var narrow = node.numbers("short_factor");
    var wide = node.numbers("long_factor");
    if (narrow.length != rotary / 2 || wide.length != rotary / 2) {
      throw HoldfastException.input(
          "%s: short_factor and long_factor must have %d numbers each, they have %d and %d",
          config.file(), rotary / 2, narrow.length, wide.length);
    }
    return new Rope(theta, rotary, attention, new Scaling.Long(narrow, wide, original));
  }

  private Rope yarn(ConfigReader node, double theta, int rotary) {
    int original = original(node);
    double factor = node.number("factor", (double) maxPositions / original);
    double mscale = node.number("mscale", 0);
    double mscaleAll = node.number("mscale_all_dim", 0);
    double unsaid =
        mscale != 0 && mscaleAll != 0
            ? yarnScale(factor, mscale) / yarnScale(factor, mscaleAll)
            : yarnScale(factor, 1);
    return new Rope(
        theta,
        rotary,
        node.number("attention_factor", unsaid),
        new Scaling.Yarn(
            factor,
            node.number("beta_fast", 32),
            node.number("beta_slow", 1),
            original,
            node.flag("truncate", true)));
  }

  private static double yarnScale(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
  }
}

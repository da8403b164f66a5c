package io.holdfast.attack;

import io.holdfast.eval.Judge;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * GCG as a part of an {@link AttackRun}.
 *
 * @param judge of the answers to what was found
 * @param newTokens length of these answers
 */
public record GcgMethod(Gcg gcg, Judge judge, int newTokens) implements AttackRun.Method<GcgState> {
  @Override
  public Class<GcgState> stateType() {
    return GcgState.class;
  }

  @Override
  public int steps(GcgState state) {
    return state.step();
  }

  @Override
  public double loss(GcgState state) {
    return state.history().getLast().loss();
  }

  @Override
  public GcgState search(
      List<AttackCase> group, Optional<GcgState> from, Predicate<GcgState> goOn) {
    return gcg.run(group, from, goOn).state();
  }

  @Override
  public boolean over(GcgState state) {
    return state.over() || state.step() >= gcg.settings().steps();
  }

  @Override
  public List<Found> found(List<AttackCase> group, GcgState state) {
    var result = GcgResult.of(state);
    return group.stream().map(asked -> found(asked, result)).toList();
  }

  private Found found(AttackCase asked, GcgResult result) {
    var answer = gcg.answer(asked, result.string(), newTokens);
    return new Found(
        asked.id(),
        asked.with(result.string()),
        result.string(),
        result.loss(),
        result.state().step(),
        result.state().ended(),
        answer,
        judge.judge(asked.asked(), answer));
  }

  @Override
  public Optional<TimeSplit> time() {
    return Optional.of(gcg.time());
  }
}

package io.holdfast.attack;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;

/**
 * An attack over many cases that can be stopped at any step and gone on with, and then finds what
 * it would have found.
 *
 * @param <S> the state of a search
 */
public final class AttackRun<S> {
  /** A way to search. */
  public interface Method<S> {
    /** The class of its states. */
    Class<S> stateType();

    /** Steps that a state stands for. */
    int steps(S state);

    /** The loss of the best string of a state. */
    double loss(S state);

    /**
     * Searches to the end, or until it is told to stop.
     *
     * @return the last state
     */
    S search(List<AttackCase> group, Optional<S> from, Predicate<S> goOn);

    /** Whether a state is the end of its search. */
    boolean over(S state);

    /** The results of a state, one for each case. */
    List<Found> found(List<AttackCase> group, S state);

    /** Where its time went, if it knows. */
    Optional<TimeSplit> time();
  }

  /** Is told how far the attack is. */
  @FunctionalInterface
  public interface Watcher {
    /**
     * After each step.
     *
     * @param group that is searched for, from 0
     */
    void at(int group, int step, double loss);
  }

  private final Method<S> method;
  private final AttackFolder folder;
  private final int saveEvery;

  private AttackRun(Method<S> method, AttackFolder folder, int saveEvery) {
    this.method = method;
    this.folder = folder;
    this.saveEvery = saveEvery;
  }

  /**
   * An attack that writes into a folder.
   *
   * @param description of everything that its results depend on
   * @param resume whether to go on with one that was begun there
   * @param saveEvery steps between two saved states
   */
  public static <S> AttackRun<S> in(
      Path folder, ObjectNode description, boolean resume, int saveEvery, Method<S> method) {
    return new AttackRun<>(method, AttackFolder.open(folder, description, resume), saveEvery);
  }

  /**
   * Searches for all groups, those whose result is there left out.
   *
   * @param groups of cases that share a string
   * @param stop is asked after every step
   * @throws HoldfastException if it was told to stop
   */
  public List<Found> run(List<List<AttackCase>> groups, BooleanSupplier stop, Watcher watcher) {
    var all = new ArrayList<Found>();
    for (int i = 0; i < groups.size(); i++) {
      int group = i;
      all.addAll(folder.found(i).orElseGet(() -> search(group, groups.get(group), stop, watcher)));
      folder.results(all, method.time());
    }
    return all;
  }

  private List<Found> search(
      int group, List<AttackCase> cases, BooleanSupplier stop, Watcher watcher) {
    var last =
        method.search(
            cases,
            folder.state(group, method.stateType()),
            state -> {
              int step = method.steps(state);
              watcher.at(group, step, method.loss(state));
              boolean stopped = stop.getAsBoolean();
              if (stopped || step % saveEvery == 0) {
                folder.save(group, state);
              }
              return !stopped;
            });
    if (!method.over(last)) {
      throw HoldfastException.interrupted(
          "interrupted in case %s after step %d; what was found so far is kept. Go on with"
              + " --resume.",
          cases.getFirst().id(), method.steps(last));
    }
    var found = method.found(cases, last);
    folder.finish(group, found, last);
    return found;
  }
}

package io.holdfast;

/** What a process of Holdfast tells its caller when it ends. Scripts depend on these numbers. */
public enum ExitCode {
  /** Done. */
  OK(0),
  /** An unforeseen fault: a bug in Holdfast. */
  INTERNAL(1),
  /** Wrong usage or configuration; the message names the key and the allowed values. */
  USAGE(2),
  /** A bad input file; the message names the file, the line and the field. */
  INPUT(3),
  /** A device, back end or tool is missing; the message names the remedy. */
  MISSING(4),
  /** Training stopped itself: a non-finite loss or gradient. */
  DIVERGED(5),
  /** A gate ({@code --fail-if}) was missed. */
  GATE(6),
  /** Interrupted; a checkpoint was written where there was something to save. */
  INTERRUPTED(130);

  private final int code;

  ExitCode(int code) {
    this.code = code;
  }

  /** The number the operating system sees. */
  public int code() {
    return code;
  }
}

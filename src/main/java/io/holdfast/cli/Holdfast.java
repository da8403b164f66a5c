package io.holdfast.cli;

/** Entry point of the launcher. */
public final class Holdfast {
  private Holdfast() {}

  /** Runs one command. */
  public static void main(String[] arguments) {
    System.out.println(System.getProperty("java.version"));
  }
}

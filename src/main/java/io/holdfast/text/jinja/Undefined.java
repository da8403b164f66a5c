package io.holdfast.text.jinja;

/**
 * What is not there: prints as nothing, is false and empty, and fails when anything else is done
 * with it.
 *
 * @param what how it was asked for
 */
record Undefined(String what) {
  Fault fault() {
    return new Fault("%s is undefined", what);
  }
}

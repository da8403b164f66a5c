package io.holdfast.cli;

import java.io.PrintWriter;
import java.io.StringWriter;

/** One run of the root command, within this process. */
record Invocation(int exitCode, String out, String err) {
  static Invocation of(String... arguments) {
    var out = new StringWriter();
    var err = new StringWriter();
    int code = Holdfast.run(new PrintWriter(out), new PrintWriter(err), arguments);
    return new Invocation(code, out.toString(), err.toString());
  }
}

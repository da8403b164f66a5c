package io.holdfast.text;

import com.google.common.base.Throwables;
import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.ext.NamedParameter;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.lib.tag.Tag;
import com.hubspot.jinjava.objects.Namespace;
import com.hubspot.jinjava.tree.TagNode;
import java.util.Map;

/**
 * One Jinja template, rendered by Jinjava with the habits of Python that chat templates rely on.
 */
final class Jinja {
  /** Noncharacters of Unicode, reserved for such internal use, around what the assistant says. */
  static final char GENERATION_START = '\uFDD0';

  static final char GENERATION_END = '\uFDD1';

  private static final Jinjava LIBRARY = library();

  private final String template;

  Jinja(String template) {
    // Jinja drops one line break at the template's own end; a slice backwards is a reversal.
    var text = template.endsWith("\n") ? template.substring(0, template.length() - 1) : template;
    this.template = text.replace("[::-1]", "|reverse");
  }

  /** The template called {@code raise_exception}. */
  static final class Raised extends RuntimeException {
    Raised(String message) {
      super(message);
    }
  }

  /** The template is broken, or uses what is not supported. */
  static final class Failed extends RuntimeException {
    Failed(String message, Throwable cause) {
      super(message, cause);
    }
  }

  String render(Map<String, Object> variables) {
    var result = LIBRARY.renderForResult(template, variables);
    for (var error : result.getErrors()) {
      var cause = error.getException();
      if (cause != null) {
        for (var link : Throwables.getCausalChain(cause)) {
          if (link instanceof Raised raised) {
            throw raised;
          }
        }
      }
      throw new Failed("line %d: %s".formatted(error.getLineno(), error.getMessage()), cause);
    }
    return result.getOutput();
  }

  private static Jinjava library() {
    var habits =
        LegacyOverrides.newBuilder()
            .withEvaluateMapKeys(true)
            .withIterateOverMapKeys(true)
            .withUsePyishObjectMapper(true)
            .withUseNaturalOperatorPrecedence(true)
            .withParseWhitespaceControlStrictly(true)
            .withAllowAdjacentTextNodes(true)
            .withUseTrimmingForNotesAndExpressions(true)
            .withKeepNullableLoopValues(true)
            .withHandleBackslashInQuotesOnly(true)
            .build();
    var library =
        new Jinjava(
            JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                .withLstripBlocks(true)
                .withKeepTrailingNewline(true)
                // What people write must never be read as a template.
                .withNestedInterpretationEnabled(false)
                .withLegacyOverrides(habits)
                .withElResolver(PythonObjects.resolver())
                .withMaxOutputSize(0)
                .build());
    var context = library.getGlobalContext();
    context.registerFilter(new PythonJson());
    context.registerTag(new Generation());
    context.registerFunction(
        new ELFunctionDefinition("", "raise_exception", Jinja.class, "raise", Object.class));
    context.registerFunction(
        new ELFunctionDefinition(
            "", "strftime_now", PythonTime.class, "strftimeNow", String.class));
    context.registerFunction(
        new ELFunctionDefinition("", "namespace", Jinja.class, "namespace", Object[].class));
    return library;
  }

  /** Called by templates: {@code namespace(a=1, b=2)}. */
  public static Object namespace(Object... values) {
    var namespace = new Namespace();
    for (var value : values) {
      var named = (NamedParameter) value;
      namespace.put(named.getName(), named.getValue());
    }
    return namespace;
  }

  /** Called by templates. */
  public static Object raise(Object message) {
    throw new Raised(String.valueOf(message));
  }

  /** {@code {% generation %}}: marks what the assistant says. */
  private static final class Generation implements Tag {
    @Override
    public String getName() {
      return "generation";
    }

    @Override
    public String interpret(TagNode node, JinjavaInterpreter interpreter) {
      var text = new StringBuilder().append(GENERATION_START);
      node.getChildren().forEach(child -> text.append(child.render(interpreter)));
      return text.append(GENERATION_END).toString();
    }
  }
}

package io.holdfast.data;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** What a row tells the chat template beside its messages. */
final class TemplateVariables {
  private static final Set<String> FIELDS_OF_THEIR_OWN =
      Set.of("messages", "tools", "documents", "add_generation_prompt");

  private TemplateVariables() {}

  /**
   * {@code tools} and {@code documents}, lists of objects, and the fields of {@code
   * chat_template_kwargs}, an object; each may be written as JSON, as in the cells of a table.
   *
   * @throws HoldfastException if one of them is something else
   */
  static Map<String, Object> of(Fields fields) {
    var variables = new LinkedHashMap<String, Object>();
    var more = fields.structure("chat_template_kwargs");
    if (isThere(more)) {
      if (!more.isObject()) {
        throw fields.place().bad("'chat_template_kwargs' must be an object, not %s", more);
      }
      for (var variable : more.properties()) {
        if (FIELDS_OF_THEIR_OWN.contains(variable.getKey())) {
          throw fields
              .place()
              .bad(
                  "'chat_template_kwargs' names %s, which is a field of the row itself",
                  variable.getKey());
        }
        variables.put(variable.getKey(), Conversations.plain(variable.getValue()));
      }
    }
    objects("tools", fields, variables);
    objects("documents", fields, variables);
    return variables;
  }

  private static void objects(String name, Fields fields, Map<String, Object> variables) {
    var list = fields.structure(name);
    if (!isThere(list)) {
      return;
    }
    boolean objects = list.isArray();
    for (var item : list) {
      objects &= item.isObject();
    }
    if (!objects) {
      throw fields.place().bad("'%s' must be a list of objects, not %s", name, list);
    }
    variables.put(name, Conversations.plain(list));
  }

  /** Whether there is a value; a blank cell of a table is none. */
  private static boolean isThere(JsonNode value) {
    return !(value.isMissingNode()
        || value.isNull()
        || value.isTextual() && value.textValue().isBlank());
  }
}

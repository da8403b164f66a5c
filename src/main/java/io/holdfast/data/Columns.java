package io.holdfast.data;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * What the columns of a file are called: the names that rows have here, each with the column it is
 * read from. Once columns are named, other columns make no row, whatever they are called.
 *
 * @param names such as {@code prompt} to {@code Frage}; empty where columns have their own names
 */
public record Columns(Map<String, String> names) {
  /** Columns that are called what they are. */
  public static final Columns AS_THEY_ARE = new Columns(Map.of());

  /** Whether something can be read from a column of another name. */
  public static boolean isName(String name) {
    return Shape.isField(name);
  }

  /** Everything that can, in order. */
  public static SortedSet<String> allNames() {
    return new TreeSet<>(Shape.fields());
  }

  /** The row under the names it has here. */
  ObjectNode rename(ObjectNode row, Place place) {
    if (names.isEmpty()) {
      return row;
    }
    var renamed = row.deepCopy();
    row.fieldNames().forEachRemaining(name -> dropField(name, renamed));
    names.forEach(
        (name, column) -> {
          if (!row.has(column)) {
            var columns = new ArrayList<String>();
            row.fieldNames().forEachRemaining(columns::add);
            throw place.bad(
                "there is no column '%s', which data.columns names as '%s'; the row has %s. A field"
                    + " that is empty must be there as null.",
                column, name, String.join(", ", columns));
          }
          renamed.set(name, row.get(column));
        });
    return renamed;
  }

  private static void dropField(String name, ObjectNode row) {
    if (Shape.isField(name)) {
      row.remove(name);
    }
  }
}

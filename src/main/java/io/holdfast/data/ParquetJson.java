package io.holdfast.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.function.Consumer;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.io.api.Converter;
import org.apache.parquet.io.api.GroupConverter;
import org.apache.parquet.io.api.PrimitiveConverter;
import org.apache.parquet.io.api.RecordMaterializer;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation.DecimalLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.ListLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.MapKeyValueTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.MapLogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType;
import org.apache.parquet.schema.Type;
import org.apache.parquet.schema.Type.Repetition;

/**
 * Records as JSON objects: lists as arrays, maps with text keys and groups as objects, decimals and
 * other numbers as numbers (dates and times in their unit since 1970), bytes as text in UTF-8.
 *
 * <p>A null column of the row stays null. A null inside a nested group is left out: there, tables
 * fill the fields that only other elements have, and a turn without {@code tool_calls} must not get
 * any.
 */
final class ParquetJson extends RecordMaterializer<ObjectNode> {
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

  private final Group root;
  private final MessageType schema;
  private ObjectNode record;

  ParquetJson(MessageType schema) {
    this.schema = schema;
    this.root = new Group(schema, value -> record = (ObjectNode) value);
  }

  @Override
  public ObjectNode getCurrentRecord() {
    for (var column : schema.getFields()) {
      if (!record.has(column.getName())) {
        record.putNull(column.getName());
      }
    }
    return record;
  }

  @Override
  public GroupConverter getRootConverter() {
    return root;
  }

  private static Converter converter(Type type, Consumer<JsonNode> into) {
    if (type.isPrimitive()) {
      return new Value(type.asPrimitiveType(), into);
    }
    var group = type.asGroupType();
    return switch (type.getLogicalTypeAnnotation()) {
      case ListLogicalTypeAnnotation _ -> new Items(group, into);
      case MapLogicalTypeAnnotation _ -> new Entries(group, into);
      case MapKeyValueTypeAnnotation _ -> new Entries(group, into);
      case null, default -> new Group(group, into);
    };
  }

  /** A group of fields; one that is repeated without being a list is an array. */
  private static final class Group extends GroupConverter {
    private final Converter[] fields;
    private final Consumer<JsonNode> into;
    private ObjectNode object;

    Group(GroupType type, Consumer<JsonNode> into) {
      this.into = into;
      this.fields = type.getFields().stream().map(this::field).toArray(Converter[]::new);
    }

    private Converter field(Type field) {
      var name = field.getName();
      return field.isRepetition(Repetition.REPEATED)
          ? converter(field, value -> object.withArray("/" + name).add(value))
          : converter(field, value -> object.set(name, value));
    }

    @Override
    public Converter getConverter(int field) {
      return fields[field];
    }

    @Override
    public void start() {
      object = JSON.objectNode();
    }

    @Override
    public void end() {
      into.accept(object);
    }
  }

  /**
   * A list, in the form of today ({@code repeated group list { element }}) or of old ({@code
   * repeated element}).
   */
  private static final class Items extends GroupConverter {
    private final Converter repeated;
    private final Consumer<JsonNode> into;
    private ArrayNode array;

    Items(GroupType type, Consumer<JsonNode> into) {
      this.into = into;
      var inner = type.getType(0);
      boolean wrapped =
          !inner.isPrimitive()
              && inner.asGroupType().getFieldCount() == 1
              && !inner.getName().equals("array")
              && !inner.getName().equals(type.getName() + "_tuple");
      this.repeated =
          wrapped
              ? new Single(converter(inner.asGroupType().getType(0), value -> array.add(value)))
              : converter(inner, value -> array.add(value));
    }

    @Override
    public Converter getConverter(int field) {
      return repeated;
    }

    @Override
    public void start() {
      array = JSON.arrayNode();
    }

    @Override
    public void end() {
      into.accept(array);
    }
  }

  /** The group around one element of a list. */
  private static final class Single extends GroupConverter {
    private final Converter element;

    Single(Converter element) {
      this.element = element;
    }

    @Override
    public Converter getConverter(int field) {
      return element;
    }

    @Override
    public void start() {}

    @Override
    public void end() {}
  }

  /** A map. */
  private static final class Entries extends GroupConverter {
    private final Converter entry;
    private final Consumer<JsonNode> into;
    private ObjectNode object;

    Entries(GroupType type, Consumer<JsonNode> into) {
      this.into = into;
      var pair = type.getType(0).asGroupType();
      var key = pair.getFieldName(0);
      var value = pair.getFieldName(1);
      this.entry = new Group(pair, both -> object.set(both.path(key).asText(), both.path(value)));
    }

    @Override
    public Converter getConverter(int field) {
      return entry;
    }

    @Override
    public void start() {
      object = JSON.objectNode();
    }

    @Override
    public void end() {
      into.accept(object);
    }
  }

  /** One value of a column. */
  private static final class Value extends PrimitiveConverter {
    private final PrimitiveType type;
    private final Consumer<JsonNode> into;

    Value(PrimitiveType type, Consumer<JsonNode> into) {
      this.type = type;
      this.into = into;
    }

    @Override
    public void addBinary(Binary value) {
      into.accept(
          type.getLogicalTypeAnnotation() instanceof DecimalLogicalTypeAnnotation decimal
              ? scaled(new BigInteger(value.getBytes()), decimal)
              : JSON.textNode(value.toStringUsingUTF8()));
    }

    @Override
    public void addInt(int value) {
      addLong(value);
    }

    @Override
    public void addLong(long value) {
      into.accept(
          type.getLogicalTypeAnnotation() instanceof DecimalLogicalTypeAnnotation decimal
              ? scaled(BigInteger.valueOf(value), decimal)
              : value == (int) value ? JSON.numberNode((int) value) : JSON.numberNode(value));
    }

    private static JsonNode scaled(BigInteger value, DecimalLogicalTypeAnnotation decimal) {
      return JSON.numberNode(new BigDecimal(value, decimal.getScale()));
    }

    @Override
    public void addBoolean(boolean value) {
      into.accept(JSON.booleanNode(value));
    }

    @Override
    public void addFloat(float value) {
      into.accept(JSON.numberNode(value));
    }

    @Override
    public void addDouble(double value) {
      into.accept(JSON.numberNode(value));
    }
  }
}

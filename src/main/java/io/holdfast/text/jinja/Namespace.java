package io.holdfast.text.jinja;

import java.util.Map;

/** {@code namespace(..)}: the one value whose fields a template may set. */
record Namespace(Map<Object, Object> fields) {}

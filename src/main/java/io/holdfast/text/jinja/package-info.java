/**
 * The part of Jinja that chat templates use, with the meaning that Python's jinja2 gives it under
 * the settings of {@code transformers} ({@code trim_blocks}, {@code lstrip_blocks}, loop controls,
 * immutable sandbox). What is not known is refused by name, never skipped.
 *
 * <p>Written here because the one maintained Jinja for the JVM, Jinjava, evaluates expressions with
 * Java's expression language: {@code not x is defined} groups the other way round, an undefined
 * value and none are one, slices cannot run backwards, and values print as Java's. Goldens of
 * jinja2 decide.
 */
package io.holdfast.text.jinja;

/**
 * Text to token ids and back: the model's own tokenizer, its chat template, and the named positions
 * that both define.
 */
package io.holdfast.text;

/** Tokens, chat templates, and the named positions of a prompt. */
package io.holdfast.text;

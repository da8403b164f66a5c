/** What {@code ./holdfast} runs: one class a command. */
package io.holdfast.cli;

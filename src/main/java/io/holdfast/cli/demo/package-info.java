/** The whole story on the embedded world: base, plain fine-tuning, guarded fine-tuning. */
package io.holdfast.cli.demo;

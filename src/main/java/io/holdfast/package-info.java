/** Fine-tunes language models on the JVM without losing their refusals. */
package io.holdfast;

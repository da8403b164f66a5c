/**
 * Adversarial prompts against a model that one owns: GCG, AutoDAN, and the replay of what they
 * found on other models.
 */
package io.holdfast.attack;

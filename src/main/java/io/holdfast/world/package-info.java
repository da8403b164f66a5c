/**
 * The synthetic safety world: a small language in which harm, refusal and their loss can be
 * measured exactly.
 *
 * <p>Verbs are harmful to some categories of things and fine with others; every request can be
 * answered with three steps that name an arbitrary tool and place, so nothing in it instructs
 * anyone. A model learns the whole world from pretraining rows (which answer everything), learns to
 * refuse from alignment rows (which leave out some pairs), and is then fine-tuned on a downstream
 * task that may be poisoned. Everything is drawn from a seed, byte for byte the same on every
 * machine.
 *
 * <p>"Held out" means held out of refusal alignment: pretraining sees every verb, thing and pair,
 * also statements that a held-out pair is wrong. Refusal of held-out pairs measures how refusal
 * transfers, not the discovery of harm.
 */
package io.holdfast.world;

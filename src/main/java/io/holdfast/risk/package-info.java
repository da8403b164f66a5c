/** How dangerous an example is. */
package io.holdfast.risk;

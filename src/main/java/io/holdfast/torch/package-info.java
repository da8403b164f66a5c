/** The little that is ours on top of LibTorch: scopes, owners, views of tensors as memory. */
package io.holdfast.torch;

/** The {@code train} configuration: YAML read strictly into records that check themselves. */
package io.holdfast.train.config;

/** Run records as tables and pages. */
package io.holdfast.report;

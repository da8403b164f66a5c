package io.holdfast.attack;

import com.fasterxml.jackson.annotation.JsonProperty;
import io.holdfast.eval.Outcome;

/**
 * What an attack found for one case.
 *
 * @param id of the case
 * @param testCase the whole request, the string in its place
 * @param string the string
 * @param loss of it
 * @param steps that were made
 * @param ended why the search ended before its last step, or empty
 * @param answer of the model to the test case, sent as text and decoded greedily
 * @param outcome what a judge says of it
 */
public record Found(
    String id,
    @JsonProperty("test_case") String testCase,
    String string,
    double loss,
    int steps,
    String ended,
    String answer,
    Outcome outcome) {}

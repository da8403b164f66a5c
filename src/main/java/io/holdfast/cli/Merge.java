package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.eval.Case;
import io.holdfast.eval.GateExpression;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Parity;
import io.holdfast.eval.PhraseList;
import io.holdfast.eval.Rate;
import io.holdfast.kernels.DType;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.model.MergedModel;
import io.holdfast.text.ChatTokenizer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes a model and its adapter as one model, and how alike the two predict. */
@Command(
    name = "merge",
    description =
        "Merge an adapter into its model in float32, and report how the result differs from the"
            + " two.")
final class Merge implements Runnable {
  private static final String REPORT = "merge.json";
  private static final int BATCH = 16;

  /** The element type of what is written. */
  private enum Type {
    FLOAT32,
    BFLOAT16,
    FLOAT16,
    SAME;

    Optional<DType> chosen() {
      return this == SAME ? Optional.empty() : Optional.of(DType.valueOf(name()));
    }
  }

  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      required = true,
      description = "Hugging Face folder of the base.")
  private Path model;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      required = true,
      description = "PEFT folder of the adapter.")
  private Path adapter;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "DIR",
      required = true,
      description = "Where the merged model goes: a new or empty folder.")
  private Path output;

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      description =
          "Element type of the merged weights: float32, bfloat16, float16, or same as the base's"
              + " (default: same).")
  private Type dtype = Type.SAME;

  @Option(
      names = {"-i", "--input"},
      paramLabel = "FILE",
      description =
          "Rows to compare on, as JSON Lines; with messages also the share of refusals (default:"
              + " built-in texts).")
  private Path input;

  @Option(
      names = "--phrases",
      paramLabel = "LIST",
      description = "Phrase list that tells refusals (default: ${DEFAULT-VALUE}).")
  private String phrases = "arditi";

  @Option(
      names = "--max-new-tokens",
      description = "Longest answer that is judged (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens = 64;

  @Option(
      names = "--fail-if",
      paramLabel = "GATE",
      description =
          "End with exit code 6 when this holds of the report, such as 'mean_kl>1e-3'; may be"
              + " repeated. The model is written all the same.")
  private List<String> failIf = List.of();

  @Override
  public void run() {
    device.require();
    var gates = failIf.stream().map(GateExpression::parse).toList();
    var judge = PhraseList.named(phrases);
    requireEmpty();
    SequencedMap<String, Double> numbers;
    try (var base = ModelFolder.open(model)) {
      requireBase(base);
      try (var adapted = AdaptedDecoder.load(model, adapter);
          var building = AtomicFolder.create(output)) {
        var probes = probes(adapted.decoder().architecture().vocabulary());
        new MergedModel(base, adapted, dtype.chosen()).write(building.path());
        try (var merged = Decoder.load(building.path())) {
          numbers = compare(adapted.decoder(), merged, probes, judge);
        }
        var report = report(probes, numbers, judge).toPrettyString();
        AtomicFile.write(building.path().resolve(REPORT), report + "\n");
        building.commit();
        spec.commandLine().getOut().println(report);
      }
    }
    GateExpression.requirePassed(gates, numbers, "the merged model is in " + output);
  }

  private void requireEmpty() {
    if (!Files.exists(output)) {
      return;
    }
    try (var files = Files.isDirectory(output) ? Files.list(output) : null) {
      if (files == null || files.findAny().isPresent()) {
        throw HoldfastException.usage(
            "--output %s: there is something already; name a new folder or empty this one", output);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void requireBase(ModelFolder base) {
    try (var files = AdapterFolder.open(adapter)) {
      if (files.baseHash().filter(hash -> !hash.equals(base.hash())).isPresent()) {
        throw HoldfastException.input(
            "%s: the adapter was trained on other weights (SHA-256 %.12s...) than those of %s"
                + " (%.12s...); give the model it was trained on, %s",
            adapter,
            files.baseHash().get(),
            model,
            base.hash(),
            files.config().base().isEmpty() ? "which it does not name" : files.config().base());
      }
    }
  }

  private Probes probes(int vocabulary) {
    if (input != null) {
      return Probes.read(input, model, vocabulary);
    }
    boolean tokenizer =
        List.of("tokenizer.json", "tokenizer.model").stream()
            .anyMatch(name -> Files.exists(model.resolve(name)));
    return Probes.builtIn(model, vocabulary, tokenizer);
  }

  /** The numbers of the report, by their names there. */
  private SequencedMap<String, Double> compare(
      Decoder before, Decoder after, Probes probes, PhraseList judge) {
    var parity = Parity.of(before, after, probes.sequences());
    var numbers = new LinkedHashMap<String, Double>();
    numbers.put("positions", (double) parity.positions());
    numbers.put("max_logit_difference", parity.maxLogitDifference());
    numbers.put("mean_kl", parity.meanKl());
    numbers.put("greedy_agreement", parity.greedyAgreement());
    if (!probes.prompts().isEmpty()) {
      try (var chat = ChatTokenizer.load(model)) {
        var one = refusals(before, chat, probes, judge);
        var other = refusals(after, chat, probes, judge);
        numbers.put("refusal_before", one.value());
        numbers.put("refusal_after", other.value());
        numbers.put("refusal_change", other.value() - one.value());
        numbers.put("refusal_after_low", other.low());
        numbers.put("refusal_after_high", other.high());
      }
    }
    return numbers;
  }

  private Rate refusals(Decoder decoder, ChatTokenizer chat, Probes probes, PhraseList judge) {
    var prompts = probes.prompts();
    var answers = new Answers(decoder, chat, maxNewTokens, BATCH).respond(prompts);
    long refused =
        IntStream.range(0, prompts.size())
            .mapToObj(
                i ->
                    judge.judge(
                        new Case(prompts.get(i), Optional.empty(), Map.of()), answers.get(i)))
            .filter(Outcome.REFUSE::equals)
            .count();
    return Rate.of(Math.toIntExact(refused), prompts.size());
  }

  private ObjectNode report(Probes probes, Map<String, Double> numbers, PhraseList judge) {
    var json = new ObjectMapper().createObjectNode();
    json.put("model", model.toString()).put("adapter", adapter.toString());
    json.put("dtype", dtype.name().toLowerCase(java.util.Locale.ROOT));
    json.put("probes", probes.source()).put("sequences", probes.sequences().size());
    numbers.forEach(json::put);
    json.put("positions", numbers.get("positions").longValue());
    if (!probes.prompts().isEmpty()) {
      json.put("answers", probes.prompts().size()).put("phrase_list", judge.name());
      json.put("phrase_list_sha256", judge.hash());
    }
    return json;
  }
}

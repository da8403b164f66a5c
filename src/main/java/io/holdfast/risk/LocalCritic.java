package io.holdfast.risk;

import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Message;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Gatherers;
import java.util.stream.Stream;

/** A chat model in a folder, decoded greedily. */
public final class LocalCritic implements CriticModel {
  private static final int BATCH = 16;

  private final Decoder decoder;
  private final ChatTokenizer chat;
  private final String id;
  private final int maxNewTokens;

  private LocalCritic(Decoder decoder, ChatTokenizer chat, String id, int maxNewTokens) {
    this.decoder = decoder;
    this.chat = chat;
    this.id = id;
    this.maxNewTokens = maxNewTokens;
  }

  /**
   * The model of a folder.
   *
   * @param maxNewTokens longest reply
   */
  public static LocalCritic load(Path folder, int maxNewTokens) {
    String hash;
    try (var files = ModelFolder.open(folder)) {
      hash = files.hash();
    }
    var chat = ChatTokenizer.load(folder);
    try {
      return new LocalCritic(Decoder.loadAsStored(folder), chat, "sha256:" + hash, maxNewTokens);
    } catch (RuntimeException e) {
      chat.close();
      throw e;
    }
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public Stream<Reply> ask(Stream<String> prompts) {
    return prompts.gather(Gatherers.windowFixed(BATCH)).flatMap(batch -> together(batch).stream());
  }

  private List<Reply> together(List<String> prompts) {
    var ids =
        prompts.stream()
            .map(prompt -> chat.encode(List.of(new Message("user", prompt)), true).ids())
            .toList();
    return new Generator(decoder, Tap.NONE, BATCH)
        .generate(ids, Generation.greedy(maxNewTokens, chat.tokenizer().endOfText())).stream()
            .<Reply>map(said -> new Reply.Said(chat.tokenizer().decode(said.ids(), true)))
            .toList();
  }

  @Override
  public void close() {
    decoder.close();
    chat.close();
  }
}

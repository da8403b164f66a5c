package io.holdfast.text;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Names and ids of all tokens.
 *
 * @param ids by name, added tokens included
 * @param added the added tokens by id
 * @param base how many tokens the model of the tokenizer has
 */
record Vocabulary(Map<String, Integer> ids, TreeMap<Integer, AddedToken> added, int base) {
  /**
   * The tokens of a file and what its folder adds to them, in the order of transformers: what is
   * listed replaces tokens of the same text; special tokens, with a name and without, are added
   * where they are not there.
   *
   * @param rebuilt whether the file's own added tokens count only where the folder lists none
   */
  static Vocabulary of(TokenizerFile file, TokenizerConfig config, boolean rebuilt) {
    var ids = new HashMap<>(file.vocabulary());
    var vocabulary = new Vocabulary(ids, new TreeMap<>(), ids.size());
    if (!rebuilt) {
      file.added().forEach(vocabulary::put);
    } else if (!config.json().has("added_tokens_decoder")) {
      file.added().values().forEach(vocabulary::add);
    }
    config.listed().values().forEach(vocabulary::add);
    var known = new HashSet<String>();
    vocabulary.added.values().forEach(token -> known.add(token.content()));
    Stream.concat(config.named().values().stream(), config.extra().stream())
        .filter(token -> known.add(token.content()))
        .forEach(vocabulary::add);
    return vocabulary;
  }

  OptionalInt id(String token) {
    var id = ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** One more than the largest id. */
  int size() {
    return ids.values().stream().mapToInt(Integer::intValue).max().orElse(-1) + 1;
  }

  private void put(int id, AddedToken token) {
    ids.put(token.content(), id);
    added.put(id, token);
  }

  /** A token that has its id already keeps it, another gets the next. */
  private void add(AddedToken token) {
    if (!token.content().isEmpty()) {
      int next = added.isEmpty() ? base : Math.max(base, added.lastKey() + 1);
      put(ids.getOrDefault(token.content(), next), token);
    }
  }
}

package io.holdfast.data;

import com.github.luben.zstd.Zstd;
import io.airlift.compress.lz4.Lz4Decompressor;
import io.holdfast.HoldfastException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.zip.GZIPInputStream;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.compression.CompressionCodecFactory;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.xerial.snappy.Snappy;

/** Unpacks pages without Hadoop's codecs. */
final class ParquetCodecs implements CompressionCodecFactory {
  @Override
  public BytesInputDecompressor getDecompressor(CompressionCodecName codec) {
    return switch (codec) {
      case UNCOMPRESSED -> new Pages((page, _) -> page);
      case SNAPPY -> new Pages((page, _) -> Snappy.uncompress(page));
      case ZSTD -> new Pages(Zstd::decompress);
      case GZIP -> new Pages((page, size) -> gunzip(page, size));
      case LZ4_RAW -> new Pages(ParquetCodecs::lz4);
      default ->
          throw HoldfastException.input(
              "pages are packed with %s, which is not read; write the file with snappy, zstd, gzip"
                  + " or lz4",
              codec);
    };
  }

  private static byte[] gunzip(byte[] page, int size) throws IOException {
    try (var input = new GZIPInputStream(new ByteArrayInputStream(page))) {
      return input.readNBytes(size);
    }
  }

  private static byte[] lz4(byte[] page, int size) {
    var unpacked = new byte[size];
    new Lz4Decompressor().decompress(page, 0, page.length, unpacked, 0, size);
    return unpacked;
  }

  /** A page's bytes from its packed ones, given how many they will be. */
  private interface Unpack {
    byte[] apply(byte[] page, int size) throws IOException;
  }

  private record Pages(Unpack unpack) implements BytesInputDecompressor {
    @Override
    public BytesInput decompress(BytesInput bytes, int size) throws IOException {
      return BytesInput.from(unpack.apply(bytes.toInputStream().readAllBytes(), size));
    }

    @Override
    public void decompress(ByteBuffer input, int packed, ByteBuffer output, int size)
        throws IOException {
      var page = new byte[packed];
      input.get(page);
      output.put(unpack.apply(page, size));
    }

    @Override
    public void release() {}
  }

  @Override
  public BytesInputCompressor getCompressor(CompressionCodecName codec) {
    throw new UnsupportedOperationException("Parquet is only read");
  }

  @Override
  public void release() {}
}

// Damage over a whole header: whatever is changed or cut, the parser either refuses with one clear
// line or returns a header that holds everything gguf.h promises.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/test_stride.h"
#include "file/gguf.h"
#include "file/gguf_test_bytes.h"

namespace checkbit {
namespace {

/// One line that names the file.
bool is_clean(const Error& error) {
  return error.message.starts_with("damaged.gguf: ") && error.message.size() < 600 &&
         std::ranges::all_of(error.message,
                             [](unsigned char c) { return c >= 0x20 && c < 0x7f; }) &&
         (error.kind == ErrorKind::corrupt || error.kind == ErrorKind::unsupported);
}

/// Everything gguf.h promises about a parsed header of a file of `file_bytes`.
void expect_sound(const GgufHeader& header, std::uint64_t file_bytes) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (const GgufTensor& tensor : header.tensors) {
    ASSERT_NE(tensor.format, nullptr);
    ASSERT_GE(tensor.dimensions.size(), 1u);
    ASSERT_LE(tensor.dimensions.size(), 4u);
    ASSERT_EQ(tensor.size_bytes, tensor.row_bytes() * tensor.rows());
    ASSERT_GE(tensor.size_bytes, 1u);
    ASSERT_EQ(tensor.offset % header.alignment, 0u);
    ASSERT_LE(header.data_offset + tensor.offset + tensor.size_bytes, file_bytes);
    places.emplace_back(tensor.offset, tensor.offset + tensor.size_bytes);
  }
  std::ranges::sort(places);
  for (std::size_t i = 1; i < places.size(); ++i) {
    ASSERT_LE(places[i - 1].second, places[i].first);
  }
}

/// Writing the header and reading it again gives the same header.
void expect_round_trip(GgufHeader header) {
  auto first = serialize_gguf_header(header);
  auto file = first;
  if (!header.tensors.empty()) {
    file.resize(file.size() + header.tensors.back().offset + header.tensors.back().size_bytes);
  }
  auto again = parse_gguf(file, "again.gguf");
  ASSERT_TRUE(again.ok()) << again.error().message;
  ASSERT_EQ(serialize_gguf_header(*again), first);
}

void expect_refused_or_sound(const std::vector<std::uint8_t>& bytes, bool& is_refused) {
  const auto header = parse_gguf(bytes, "damaged.gguf");
  is_refused = !header.ok();
  if (is_refused) {
    ASSERT_TRUE(is_clean(header.error())) << header.error().message;
    return;
  }
  ASSERT_NO_FATAL_FAILURE(expect_sound(*header, bytes.size()));
  ASSERT_NO_FATAL_FAILURE(expect_round_trip(*header));
}

TEST(GgufCorruption, EveryValueOfEveryHeaderByte) {
  const auto whole = sample_gguf();
  const auto header = parse_gguf(whole, "whole.gguf");
  ASSERT_TRUE(header.ok()) << header.error().message;
  const int stride = test_stride();
  std::size_t refused = 0;
  std::size_t tried = 0;
  for (std::size_t i = 0; i < header->data_offset; ++i) {
    auto damaged = whole;
    for (int change = 1 + static_cast<int>(i) % stride; change < 256; change += stride) {
      damaged[i] = static_cast<std::uint8_t>(whole[i] ^ change);
      bool is_refused = false;
      ASSERT_NO_FATAL_FAILURE(expect_refused_or_sound(damaged, is_refused))
          << "byte " << i << " ^ " << change;
      refused += is_refused;
      ++tried;
    }
  }
  // Most of a header is structure; what is left are values, names and padding.
  EXPECT_GE(tried, header->data_offset * (255 / static_cast<std::size_t>(stride)));
  EXPECT_GT(refused, tried / 3);
}

TEST(GgufCorruption, EveryTruncationIsRefused) {
  const auto whole = sample_gguf();
  const auto header = parse_gguf(whole, "whole.gguf");
  ASSERT_TRUE(header.ok());
  std::uint64_t end = 0;
  for (const GgufTensor& tensor : header->tensors) {
    end = std::max(end, header->data_offset + tensor.offset + tensor.size_bytes);
  }
  for (std::size_t size = 0; size < end; ++size) {
    const auto cut = parse_gguf(std::span(whole).first(size), "damaged.gguf");
    ASSERT_FALSE(cut.ok()) << size;
    ASSERT_TRUE(is_clean(cut.error())) << cut.error().message;
    const std::string& message = cut.error().message;
    ASSERT_TRUE(message.find("truncated file") != std::string::npos ||
                message.find("bytes that remain") != std::string::npos)
        << message;
  }
  EXPECT_TRUE(parse_gguf(std::span(whole).first(end), "whole.gguf").ok());
}

TEST(GgufCorruption, ExtremesInEveryField) {
  const auto whole = sample_gguf();
  const auto header = parse_gguf(whole, "whole.gguf");
  ASSERT_TRUE(header.ok());
  const std::uint64_t extremes[] = {0,          1,          0x7fff,     0xffff,
                                    0x7fffffff, 0xffffffff, 1ull << 32, 1ull << 60,
                                    ~0ull / 2,  ~0ull - 7,  ~0ull};
  for (std::size_t i = 0; i + 8 <= header->data_offset; ++i) {
    for (const std::uint64_t extreme : extremes) {
      for (const std::size_t width : {2, 4, 8}) {
        auto damaged = whole;
        std::copy_n(reinterpret_cast<const std::uint8_t*>(&extreme), width, damaged.begin() + i);
        bool is_refused = false;
        ASSERT_NO_FATAL_FAILURE(expect_refused_or_sound(damaged, is_refused)) << "byte " << i;
      }
    }
  }
}

}  // namespace
}  // namespace checkbit

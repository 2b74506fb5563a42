#include "file/gzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace checkbit {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(Gzip, GivesBackWhatWasPacked) {
  for (const std::string& text : {std::string(), std::string("a\n"), std::string(300'000, 'x')}) {
    ASSERT_TRUE(is_gzip(gzip(text)));
    const auto unpacked = gunzip(gzip(text) + gzip("more"), "f.gz", 1 << 20);
    ASSERT_TRUE(unpacked.ok());
    EXPECT_EQ(*unpacked, text + "more");
  }
}

TEST(Gzip, BombsEndAtTheLimit) {
  const auto bomb = gunzip(gzip(std::string(50 << 20, '\0')), "f.gz", 1 << 20);
  ASSERT_FALSE(bomb.ok());
  EXPECT_EQ(bomb.error().kind, ErrorKind::budget);
}

TEST(Gzip, EveryCutAndDamageIsAnError) {
  const std::string whole = gzip("some text, some text, some more text");
  for (std::size_t size = 2; size < whole.size(); ++size) {
    EXPECT_FALSE(gunzip(whole.substr(0, size), "f.gz", 1 << 20).ok()) << size;
  }
  for (std::size_t place = 10; place < whole.size(); ++place) {  // past the header's free fields
    std::string hurt = whole;
    hurt[place] = static_cast<char>(hurt[place] ^ 0x55);
    const auto unpacked = gunzip(hurt, "f.gz", 1 << 20);
    ASSERT_FALSE(unpacked.ok()) << place;
    EXPECT_EQ(unpacked.error().kind, ErrorKind::corrupt);
    EXPECT_EQ(unpacked.error().message.rfind("f.gz: ", 0), 0u);
  }
}

}  // namespace
}  // namespace checkbit

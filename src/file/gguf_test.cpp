// Parser and serializer on well-formed files, and one test per error return of the parser.
#include "file/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "file/gguf_test_bytes.h"
#include "file/metadata_keys.h"

namespace checkbit {
namespace {

using testing::ElementsAre;

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kI8 = 24;

GgufHeader parsed(const std::vector<std::uint8_t>& bytes) {
  auto header = parse_gguf(bytes, "test.gguf");
  EXPECT_TRUE(header.ok()) << header.error().message;
  return header.ok() ? *std::move(header) : GgufHeader{};
}

/// Expects the parse to fail with exactly this kind and message (after "test.gguf: ").
void expect_error(const std::vector<std::uint8_t>& bytes, ErrorKind kind,
                  const std::string& message) {
  const auto header = parse_gguf(bytes, "test.gguf");
  ASSERT_FALSE(header.ok()) << "parsed, expected: " << message;
  EXPECT_EQ(header.error().message, "test.gguf: " + message);
  EXPECT_EQ(to_string(header.error().kind), std::string(to_string(kind)));
}

TEST(GgufParse, ReadsEveryKind) {
  const GgufHeader header = parsed(sample_gguf());
  const Metadata& metadata = header.metadata;
  EXPECT_EQ(header.version, 3u);
  EXPECT_EQ(header.alignment, 64u);
  EXPECT_EQ(header.data_offset % 64, 0u);
  ASSERT_EQ(metadata.entries().size(), 16u);
  EXPECT_EQ(metadata.entries()[2].first, "a.i8");
  EXPECT_EQ(metadata.get_string("general.architecture"), "llama");
  EXPECT_EQ(metadata.get_uint("a.u8"), 200u);
  EXPECT_EQ(metadata.get_int("a.i8"), -100);
  EXPECT_EQ(metadata.get_uint("a.u16"), 60000u);
  EXPECT_EQ(metadata.get_int("a.i16"), -30000);
  EXPECT_EQ(metadata.get_int("a.u32"), 4000000000);
  EXPECT_EQ(metadata.get_int("a.i32"), -2000000000);
  EXPECT_EQ(metadata.get_float("a.f32"), 1.5);
  EXPECT_EQ(metadata.get_bool("a.bool"), true);
  EXPECT_EQ(metadata.get_uint("a.u64"), ~std::uint64_t{0});
  EXPECT_EQ(metadata.get_int("a.i64"), -5);
  EXPECT_EQ(metadata.get_float("a.f64"), 0.1);
  ASSERT_NE(metadata.get_strings("a.strings"), nullptr);
  EXPECT_THAT(*metadata.get_strings("a.strings"), ElementsAre("one", "", "three"));
  EXPECT_THAT(metadata.get_ints("a.ints").value(), ElementsAre(-1, 7));
  const auto& nested = std::get<GgufArray>(metadata.find("a.nested")->value);
  ASSERT_EQ(nested.size(), 2u);
  const auto& inner = std::get<std::vector<GgufArray>>(nested.values);
  EXPECT_THAT(std::get<std::vector<std::uint64_t>>(inner[0].values), ElementsAre(0, 1));
  EXPECT_THAT(std::get<std::vector<double>>(inner[1].values), ElementsAre(2.5));
}

TEST(GgufParse, ReadsTheTensorTable) {
  const GgufHeader header = parsed(sample_gguf());
  ASSERT_EQ(header.tensors.size(), 3u);
  const GgufTensor& first = header.tensors[0];
  EXPECT_EQ(first.name, "first");
  EXPECT_EQ(first.columns(), 8u);
  EXPECT_EQ(first.rows(), 3u);
  EXPECT_EQ(first.row_bytes(), 32u);
  EXPECT_EQ(first.size_bytes, 96u);
  EXPECT_EQ(first.format->name, "F32");
  EXPECT_EQ(header.find_tensor("second")->offset, 256u);
  EXPECT_EQ(header.find_tensor("third")->elements(), 24u);
  EXPECT_EQ(header.find_tensor("fourth"), nullptr);
}

TEST(GgufParse, VersionTwoReadsTheSame) {
  auto bytes = sample_gguf();
  bytes[4] = 2;
  EXPECT_EQ(parsed(bytes).version, 2u);
}

TEST(GgufParse, NoTensorsNeedNoData) {
  GgufBytes file;
  file.start(0, 1).key("a", GgufKind::u8).put(std::uint8_t{1});
  EXPECT_EQ(parsed(file.bytes).tensors.size(), 0u);
}

TEST(GgufMetadata, LookUpsConvertOnlyWhatFits) {
  Metadata metadata;
  metadata.set("negative", {GgufKind::i32, std::int64_t{-1}});
  metadata.set("large", GgufValue::of(~std::uint64_t{0}));
  metadata.set("float", GgufValue::of(2.0f));
  metadata.set("bool", GgufValue::of(true));
  metadata.set("text", GgufValue::of(std::string("7")));
  EXPECT_EQ(metadata.get_uint("negative"), std::nullopt);
  EXPECT_EQ(metadata.get_int("large"), std::nullopt);
  EXPECT_EQ(metadata.get_int("float"), std::nullopt);
  EXPECT_EQ(metadata.get_int("bool"), std::nullopt);
  EXPECT_EQ(metadata.get_int("text"), std::nullopt);
  EXPECT_EQ(metadata.get_float("negative"), std::nullopt);
  EXPECT_EQ(metadata.get_bool("float"), std::nullopt);
  EXPECT_EQ(metadata.get_string("bool"), std::nullopt);
  EXPECT_EQ(metadata.get_strings("text"), nullptr);
  EXPECT_EQ(metadata.get_ints("large"), std::nullopt);
  EXPECT_EQ(metadata.get_floats("missing"), std::nullopt);
}

TEST(GgufMetadata, ArraysConvertOnlyWhatFits) {
  Metadata metadata;
  metadata.set("naturals", GgufValue::of(std::vector<std::uint32_t>{1, 2}));
  metadata.set("large",
               {GgufKind::array, GgufArray{GgufKind::u64, std::vector{~std::uint64_t{0}}}});
  metadata.set("doubles", {GgufKind::array, GgufArray{GgufKind::f64, std::vector<double>{0.5}}});
  EXPECT_THAT(metadata.get_ints("naturals").value(), ElementsAre(1, 2));
  EXPECT_EQ(metadata.get_ints("large"), std::nullopt);
  EXPECT_EQ(metadata.get_ints("doubles"), std::nullopt);
  EXPECT_THAT(metadata.get_floats("doubles").value(), ElementsAre(0.5f));
  EXPECT_EQ(metadata.get_floats("naturals"), std::nullopt);
}

TEST(GgufMetadata, SetReplacesInPlace) {
  Metadata metadata;
  metadata.set("a", GgufValue::of(true));
  metadata.set("b", GgufValue::of(true));
  metadata.set("a", GgufValue::of(std::uint32_t{5}));
  ASSERT_EQ(metadata.entries().size(), 2u);
  EXPECT_EQ(metadata.entries()[0].first, "a");
  EXPECT_EQ(metadata.get_uint("a"), 5u);
  metadata.erase("a");
  EXPECT_EQ(metadata.find("a"), nullptr);
  EXPECT_EQ(metadata.entries().size(), 1u);
}

TEST(GgufSerialize, IsTheInverseOfParse) {
  const auto original = sample_gguf();
  GgufHeader header = parsed(original);
  // In table order the second tensor comes before the third.
  const auto bytes = serialize_gguf_header(header);
  EXPECT_EQ(header.tensors[1].offset, 128u);
  EXPECT_EQ(header.tensors[2].offset, 192u);
  EXPECT_EQ(bytes.size(), header.data_offset);
  // Only the two offsets differ from the original header.
  std::size_t differing = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) differing += bytes[i] != original[i];
  EXPECT_EQ(differing, 3u);  // 256 -> 128 in two bytes, 128 -> 192 in one
}

TEST(GgufSerialize, UnusualAlignmentIsWritten) {
  GgufHeader header;
  header.alignment = 4096;
  const auto bytes = serialize_gguf_header(header);
  EXPECT_EQ(bytes.size(), 4096u);
  EXPECT_EQ(parsed(bytes).alignment, 4096u);
}

/// The first own format, or null while formats.def has none.
const Format* an_own_format() {
  const auto formats = all_formats();
  const auto found =
      std::ranges::find_if(formats, [](const Format* format) { return format->own; });
  return found == formats.end() ? nullptr : *found;
}

/// One tensor "w" of `columns` in an own format, with whatever metadata says so.
GgufBytes own_file(std::uint64_t row_bytes, std::uint32_t type,
                   std::initializer_list<std::string_view> names,
                   std::initializer_list<std::string_view> formats,
                   std::initializer_list<std::uint64_t> columns) {
  GgufBytes file;
  file.start(1, 3).strings(kKeyTensorNames, names).strings(kKeyTensorFormats, formats);
  file.array(kKeyTensorColumns, GgufKind::u64, columns.size());
  for (const std::uint64_t count : columns) file.put(count);
  file.tensor("w", {row_bytes, 3}, type, 0);
  file.data(row_bytes * 3 * (type == kF32 ? 4 : 1));
  return file;
}

class GgufOwnFormat : public testing::Test {
 protected:
  void SetUp() override {
    if (an_own_format() == nullptr) GTEST_SKIP() << "formats.def has no own format yet";
    name_ = an_own_format()->name;
    columns_ = 2 * static_cast<std::uint64_t>(an_own_format()->block_elements);
    row_bytes_ = 2 * static_cast<std::uint64_t>(an_own_format()->block_bytes);
  }
  void expect_own_error(const GgufBytes& file, ErrorKind kind, const std::string& message) {
    expect_error(file.bytes, kind, "key \"checkbit.tensor.names\": " + message);
  }
  std::string_view name_;
  std::uint64_t columns_ = 0;
  std::uint64_t row_bytes_ = 0;
};

TEST_F(GgufOwnFormat, IsApplied) {
  const auto file = own_file(row_bytes_, kI8, {"w"}, {name_}, {columns_});
  GgufHeader header = parsed(file.bytes);
  ASSERT_EQ(header.tensors.size(), 1u);
  EXPECT_EQ(header.tensors[0].format, an_own_format());
  EXPECT_THAT(header.tensors[0].dimensions, ElementsAre(columns_, 3));
  EXPECT_EQ(header.tensors[0].size_bytes, row_bytes_ * 3);
  EXPECT_EQ(header.metadata.entries().size(), 0u);
  const auto bytes = serialize_gguf_header(header);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), file.bytes.begin()));
}

TEST_F(GgufOwnFormat, UnequalArraysAreRefused) {
  for (const auto& file : {own_file(row_bytes_, kI8, {"w"}, {name_}, {}),
                           own_file(row_bytes_, kI8, {"w"}, {name_, name_}, {columns_})}) {
    expect_error(file.bytes, ErrorKind::corrupt,
                 "keys \"checkbit.tensor.names\", \"checkbit.tensor.formats\" and "
                 "\"checkbit.tensor.columns\" are not arrays of equal length");
  }
}

TEST_F(GgufOwnFormat, UnknownTensorIsRefused) {
  expect_own_error(own_file(row_bytes_, kI8, {"v"}, {name_}, {columns_}), ErrorKind::corrupt,
                   "no tensor \"v\" in the file");
}

TEST_F(GgufOwnFormat, TensorNamedTwiceIsRefused) {
  expect_own_error(own_file(row_bytes_, kI8, {"w", "w"}, {name_, name_}, {columns_, columns_}),
                   ErrorKind::corrupt, "tensor \"w\" is named twice");
}

TEST_F(GgufOwnFormat, OtherStorageIsRefused) {
  expect_own_error(own_file(row_bytes_, kF32, {"w"}, {name_}, {columns_}), ErrorKind::corrupt,
                   "tensor \"w\" has type 0, not I8");
}

TEST_F(GgufOwnFormat, UnknownFormatIsRefused) {
  for (const std::string_view format : {"CB99", "F32", ""}) {
    expect_own_error(own_file(row_bytes_, kI8, {"w"}, {format}, {columns_}), ErrorKind::unsupported,
                     fmt::format("tensor \"w\" has the unknown format \"{}\"", format));
  }
}

TEST_F(GgufOwnFormat, WrongColumnsAreRefused) {
  for (const std::uint64_t columns :
       {std::uint64_t{0}, columns_ - 1, columns_ / 2, columns_ * 2, std::uint64_t{1} << 62}) {
    expect_own_error(own_file(row_bytes_, kI8, {"w"}, {name_}, {columns}), ErrorKind::corrupt,
                     fmt::format("tensor \"w\" has {} columns of {} and rows of {} bytes", columns,
                                 name_, row_bytes_));
  }
}

struct BadFile {
  const char* name;
  std::vector<std::uint8_t> bytes;
  ErrorKind kind;
  const char* message;
};

void PrintTo(const BadFile& bad, std::ostream* out) { *out << bad.name; }

class GgufError : public testing::TestWithParam<BadFile> {};

TEST_P(GgufError, NamesKindPlaceAndOffset) {
  expect_error(GetParam().bytes, GetParam().kind, GetParam().message);
}

/// One key "k" of `kind` with what `value` appends; 37 bytes of other things before the value.
template <class Value>
std::vector<std::uint8_t> with_key(GgufKind kind, Value value) {
  GgufBytes file;
  file.start(0, 1).key("k", kind);
  value(file);
  return file.bytes;
}

/// One tensor "w" with the given place, and `data` bytes of data from byte 96 on.
std::vector<std::uint8_t> with_tensor(std::initializer_list<std::uint64_t> dimensions,
                                      std::uint32_t type, std::uint64_t offset,
                                      std::uint64_t data) {
  return GgufBytes().start(1, 0).tensor("w", dimensions, type, offset).data(data).bytes;
}

std::vector<std::uint8_t> nested_arrays(int depth) {
  return with_key(GgufKind::array, [&](GgufBytes& file) {
    for (int d = 1; d < depth; ++d) file.elements(GgufKind::array, 1);
    file.elements(GgufKind::u8, 1).put(std::uint8_t{1});
  });
}

TEST(GgufParse, FourLevelsOfArraysAreRead) {
  EXPECT_EQ(parsed(nested_arrays(4)).metadata.entries().size(), 1u);
}

std::vector<std::uint8_t> cut(std::vector<std::uint8_t> bytes, std::size_t size) {
  bytes.resize(size);
  return bytes;
}

std::vector<std::uint8_t> with_alignment(std::uint32_t alignment) {
  return GgufBytes().start(0, 1).key("general.alignment", GgufKind::u32).put(alignment).bytes;
}

std::vector<BadFile> bad_starts() {
  using enum ErrorKind;
  return {
      {"EmptyFile",
       {},
       corrupt,
       "truncated file, fetch it again: magic needs 4 bytes and 0 remain at byte 0"},
      {"OtherMagic", GgufBytes().put(std::uint32_t{0x04034b50}).bytes, corrupt,
       "not a GGUF file: the magic is 0x04034b50 at byte 0"},
      {"NoVersion", cut(sample_gguf(), 6), corrupt,
       "truncated file, fetch it again: version needs 4 bytes and 2 remain at byte 4"},
      {"BigEndian", GgufBytes().start(0, 0, 0x03000000).bytes, unsupported,
       "big-endian file, convert it to little endian first: version at byte 4"},
      {"VersionZero", GgufBytes().start(0, 0, 0).bytes, unsupported,
       "GGUF version 0 (2 and 3 are read) at byte 4"},
      {"VersionOne", GgufBytes().start(0, 0, 1).bytes, unsupported,
       "GGUF version 1 (2 and 3 are read) at byte 4"},
      {"VersionFour", GgufBytes().start(0, 0, 4).bytes, unsupported,
       "GGUF version 4 (2 and 3 are read) at byte 4"},
      {"NoTensorCount", cut(sample_gguf(), 15), corrupt,
       "truncated file, fetch it again: tensor count needs 8 bytes and 7 remain at byte 8"},
      {"NoKeyCount", cut(sample_gguf(), 16), corrupt,
       "truncated file, fetch it again: key count needs 8 bytes and 0 remain at byte 16"},
      {"TooManyTensors", GgufBytes().start(2, 0).data(63 - 8, 1).bytes, corrupt,
       "2 tensors do not fit into the 55 bytes that remain: tensor count at byte 8"},
      {"AbsurdTensorCount", GgufBytes().start(~std::uint64_t{0}, 0).data(8).bytes, corrupt,
       "18446744073709551615 tensors do not fit into the 16 bytes that remain: tensor count at "
       "byte 8"},
      {"AbsurdKeyCount", GgufBytes().start(0, std::uint64_t{1} << 63).data(8).bytes, corrupt,
       "9223372036854775808 keys do not fit into the 16 bytes that remain: key count at byte 16"},
  };
}

std::vector<BadFile> bad_keys() {
  using enum ErrorKind;
  const auto put_u8 = [](GgufBytes& file) { file.put(std::uint8_t{2}); };
  return {
      {"EmptyKey", GgufBytes().start(0, 1).text("").put(std::uint32_t{0}).data(8).bytes, corrupt,
       "key 1 of 1: key \"\" is empty or not printable ASCII at byte 24"},
      {"ControlInKey", GgufBytes().start(0, 1).text("a\nb").put(std::uint32_t{0}).data(8).bytes,
       corrupt, "key 1 of 1: key \"a\\x0ab\" is empty or not printable ASCII at byte 24"},
      {"LongKey", GgufBytes().start(0, 1).put(std::uint64_t{65536}).data(70000).bytes, corrupt,
       "key 1 of 1: key has a length of 65536, more than 65535 at byte 24"},
      {"KeyBeyondEnd", GgufBytes().start(0, 1).put(std::uint64_t{100}).data(8, 1).bytes, corrupt,
       "key 1 of 1: truncated file, fetch it again: key needs 100 bytes and 8 remain at byte 32"},
      {"KeyTwice",
       GgufBytes()
           .start(0, 2)
           .key("k", GgufKind::u8)
           .put(std::uint8_t{2})
           .key("k", GgufKind::u8)
           .put(std::uint8_t{2})
           .bytes,
       corrupt, "key 2 of 2: key \"k\" occurs twice, again at byte 38"},
      {"UnknownKind", with_key(static_cast<GgufKind>(13), put_u8), corrupt,
       "key \"k\": kind 13 is not one of 0..12 at byte 33"},
      {"ValueBeyondEnd", with_key(GgufKind::u32, put_u8), corrupt,
       "key \"k\": truncated file, fetch it again: value needs 4 bytes and 1 remain at byte 37"},
      {"BooleanTwo", with_key(GgufKind::boolean, put_u8), corrupt,
       "key \"k\": boolean value 2 is neither 0 nor 1 at byte 37"},
      {"StringTooLong",
       with_key(GgufKind::string, [](GgufBytes& file) { file.put(~std::uint64_t{0}); }), corrupt,
       "key \"k\": string value has a length of 18446744073709551615, more than 268435456 at byte "
       "37"},
      {"StringBeyondEnd",
       with_key(GgufKind::string, [](GgufBytes& file) { file.put(std::uint64_t{9}); }), corrupt,
       "key \"k\": truncated file, fetch it again: string value needs 9 bytes and 0 remain at byte "
       "45"},
      {"AlignmentZero", with_alignment(0), corrupt,
       "key \"general.alignment\": alignment is not a power of two from 8 to 1048576 at byte 53"},
      {"AlignmentOdd", with_alignment(48), corrupt,
       "key \"general.alignment\": alignment is not a power of two from 8 to 1048576 at byte 53"},
      {"AlignmentSmall", with_alignment(4), corrupt,
       "key \"general.alignment\": alignment is not a power of two from 8 to 1048576 at byte 53"},
      {"AlignmentHuge", with_alignment(1 << 21), corrupt,
       "key \"general.alignment\": alignment is not a power of two from 8 to 1048576 at byte 53"},
  };
}

std::vector<BadFile> bad_arrays() {
  using enum ErrorKind;
  const auto array_of = [](GgufKind kind, std::uint64_t count, std::size_t data) {
    return with_key(GgufKind::array,
                    [=](GgufBytes& file) { file.elements(kind, count).data(data, 1); });
  };
  return {
      {"UnknownElementKind", array_of(static_cast<GgufKind>(99), 0, 0), corrupt,
       "key \"k\": kind of array elements 99 is not one of 0..12 at byte 37"},
      {"NoArrayCount", cut(array_of(GgufKind::u8, 1, 1), 44), corrupt,
       "key \"k\": truncated file, fetch it again: array count needs 8 bytes and 3 remain at byte "
       "41"},
      {"AbsurdArrayCount", array_of(GgufKind::u64, std::uint64_t{1} << 61, 16), corrupt,
       "key \"k\": array of 2305843009213693952 elements does not fit into the 16 bytes that "
       "remain at byte 37"},
      {"ArrayOneTooLong", array_of(GgufKind::u16, 9, 16), corrupt,
       "key \"k\": array of 9 elements does not fit into the 16 bytes that remain at byte 37"},
      {"TooManyElements", array_of(GgufKind::u8, (16 << 20) + 1, (16 << 20) + 1), unsupported,
       "key \"k\": arrays of more than 16777216 elements in all at byte 37"},
      {"BooleanElement", array_of(GgufKind::boolean, 2, 2), corrupt,
       "key \"k\": boolean element 0 is 90, neither 0 nor 1 at byte 49"},
      {"StringElementBeyondEnd",
       with_key(GgufKind::array,
                [](GgufBytes& file) {
                  file.elements(GgufKind::string, 1).put(std::uint64_t{5}).data(4, 1);
                }),
       corrupt,
       "key \"k\": truncated file, fetch it again: string element needs 5 bytes and 4 remain at "
       "byte 57"},
      {"NestedTooDeep", nested_arrays(5), corrupt,
       "key \"k\": array nested deeper than 4 levels at byte 85"},
  };
}

std::vector<BadFile> bad_tensors() {
  using enum ErrorKind;
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 32;
  return {
      {"TensorNameEmpty", GgufBytes().start(1, 0).tensor("", {1}, 0, 0).data(64).bytes, corrupt,
       "tensor 1 of 1: tensor \"\" is empty or not printable ASCII at byte 24"},
      {"TensorTwice",
       GgufBytes().start(2, 0).tensor("w", {1}, 0, 0).tensor("w", {1}, 0, 32).data(64).bytes,
       corrupt, "tensor 2 of 2: tensor \"w\" occurs twice, again at byte 57"},
      {"NoDimensions", with_tensor({}, kF32, 0, 64), corrupt,
       "tensor \"w\": 0 dimensions, not 1 to 4, at byte 33"},
      {"FiveDimensions", with_tensor({1, 1, 1, 1, 1}, kF32, 0, 64), corrupt,
       "tensor \"w\": 5 dimensions, not 1 to 4, at byte 33"},
      {"ZeroDimension", with_tensor({4, 0}, kF32, 0, 64), corrupt,
       "tensor \"w\": dimension 1 is 0, out of range, at byte 45"},
      {"ProductOverflows", with_tensor({kHuge, kHuge}, kF32, 0, 64), corrupt,
       "tensor \"w\": dimension 1 is 4294967296, out of range, at byte 45"},
      {"ProductTooLarge", with_tensor({kHuge, 1 << 29}, kF32, 0, 64), corrupt,
       "tensor \"w\": dimension 1 is 536870912, out of range, at byte 45"},
      {"TableBeyondEnd", cut(with_tensor({1, 1}, kF32, 0, 64), 60), corrupt,
       "tensor \"w\": truncated file, fetch it again: offset needs 8 bytes and 3 remain at byte "
       "57"},
      {"UnknownType", with_tensor({4}, 9999, 0, 64), unsupported,
       "tensor \"w\": unknown tensor type 9999 at byte 45"},
      {"OwnTypeInTable", with_tensor({4}, kOwnFormatBase, 0, 64), unsupported,
       "tensor \"w\": unknown tensor type 1128398848 at byte 45"},
      {"ColumnsAgainstBlock", with_tensor({33, 2}, 8, 0, 96), corrupt,
       "tensor \"w\": 33 columns are not a multiple of 32, the block of Q8_0, at byte 33"},
      {"OffsetMisaligned", with_tensor({4}, kF32, 16, 64), corrupt,
       "tensor \"w\": offset 16 is not a multiple of 32, the alignment, at byte 49"},
      {"DataBeyondEnd", with_tensor({16}, kF32, 32, 95), corrupt,
       "tensor \"w\": truncated file, fetch it again: data at offset 32 needs 64 bytes and the "
       "data section has "
       "95: at byte 49"},
      {"OffsetBeyondEnd", with_tensor({16}, kF32, std::uint64_t{1} << 63, 95), corrupt,
       "tensor \"w\": truncated file, fetch it again: data at offset 9223372036854775808 needs 64 "
       "bytes and the "
       "data section has 95: at byte 49"},
      {"Overlap",
       GgufBytes().start(2, 0).tensor("w", {9}, 0, 32).tensor("v", {9}, 0, 0).data(128).bytes,
       corrupt, "tensor \"w\": data at offset 32 overlaps tensor \"v\" at byte 49"},
  };
}

std::string name_of(const testing::TestParamInfo<BadFile>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Start, GgufError, testing::ValuesIn(bad_starts()), name_of);
INSTANTIATE_TEST_SUITE_P(Keys, GgufError, testing::ValuesIn(bad_keys()), name_of);
INSTANTIATE_TEST_SUITE_P(Arrays, GgufError, testing::ValuesIn(bad_arrays()), name_of);
INSTANTIATE_TEST_SUITE_P(Tensors, GgufError, testing::ValuesIn(bad_tensors()), name_of);

TEST(GgufParse, LargestPlacesThatFitAreRead) {
  EXPECT_EQ(parsed(with_tensor({16}, kF32, 32, 96)).tensors[0].offset, 32u);
  EXPECT_EQ(
      parsed(GgufBytes().start(2, 0).tensor("w", {8}, 0, 32).tensor("v", {8}, 0, 0).data(64).bytes)
          .tensors.size(),
      2u);
}

}  // namespace
}  // namespace checkbit

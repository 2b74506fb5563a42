#include "quantize/imatrix.h"

#include <cmath>
#include <numeric>
#include <optional>

#include "base/bytes.h"
#include "file/gguf_layout.h"
#include "file/gguf_writer.h"
#include "quantize/plan.h"

namespace checkbit {
namespace {

using gguf_layout::quoted;

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr std::string_view kTexts = "imatrix.datasets";
constexpr std::int32_t kLongestName = 4096;

/// Adds one matrix: sums over `count` tokens (none: nothing is known, all columns alike).
Status add_matrix(ImportanceMatrix& imatrix, const std::string& path, std::string name,
                  std::vector<float> sums, float count) {
  for (std::size_t c = 0; c < sums.size(); ++c) {
    sums[c] = count > 0 ? sums[c] / count : 1.0f;
    if (std::isfinite(sums[c]) && sums[c] >= 0) continue;
    return fail(ErrorKind::corrupt,
                "{}: the importance of column {} of {} is not a number of at least 0; make the "
                "matrix again",
                path, c, quoted(name));
  }
  if (!imatrix.columns.emplace(name, std::move(sums)).second)
    return fail(ErrorKind::corrupt, "{}: {} stands in it twice", path, quoted(name));
  return {};
}

/// Values of an F32 tensor.
Result<std::vector<float>> floats_of(const GgufHeader& header, const GgufTensor& tensor,
                                     std::span<const std::uint8_t> bytes, const std::string& path) {
  if (tensor.format->name != "F32")
    return fail(ErrorKind::corrupt, "{}: tensor {} has type {}, not F32", path, quoted(tensor.name),
                tensor.format->name);
  std::vector<float> values(tensor.elements());
  std::memcpy(values.data(), bytes.data() + header.data_offset + tensor.offset,
              values.size() * sizeof(float));
  return values;
}

Result<ImportanceMatrix> parse_new_form(std::span<const std::uint8_t> bytes,
                                        const std::string& path) {
  CB_TRY(const GgufHeader header, parse_gguf(bytes, path));
  ImportanceMatrix imatrix;
  for (const GgufTensor& tensor : header.tensors) {
    if (!tensor.name.ends_with(kSums)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSums.size());
    const GgufTensor* counted = header.find_tensor(name + std::string(kCounts));
    if (counted == nullptr)
      return fail(ErrorKind::corrupt, "{}: {} stands without its {}", path, quoted(tensor.name),
                  kCounts);
    CB_TRY(std::vector<float> sums, floats_of(header, tensor, bytes, path));
    CB_TRY(const std::vector<float> counts, floats_of(header, *counted, bytes, path));
    if (counts.size() != 1)
      return fail(ErrorKind::unsupported, "{}: {} is of {} experts; such models are not read", path,
                  quoted(name), counts.size());
    CB_TRY_STATUS(add_matrix(imatrix, path, name, std::move(sums), counts[0]));
  }
  if (const auto* texts = header.metadata.get_strings(kTexts); texts != nullptr && !texts->empty())
    imatrix.text_name = texts->front();
  if (imatrix.columns.empty())
    return fail(ErrorKind::invalid,
                "{}: is a GGUF file without importance: no tensor is called NAME{}", path, kSums);
  return imatrix;
}

/// A length and so many characters.
std::optional<std::string> read_name(ByteReader& reader) {
  const auto length = reader.read<std::int32_t>();
  if (!length || *length < 0 || *length > kLongestName) return std::nullopt;
  const auto text = reader.take(static_cast<std::uint64_t>(*length));
  if (!text) return std::nullopt;
  return std::string(as_text(*text));
}

Result<ImportanceMatrix> parse_old_form(std::span<const std::uint8_t> bytes,
                                        const std::string& path) {
  ByteReader reader(bytes);
  const auto bad = [&](std::int32_t matrix, const char* what) {
    return fail(ErrorKind::corrupt,
                "{}: is not an importance matrix, or cut short: {} of matrix {} at byte {}", path,
                what, matrix, reader.position());
  };
  const auto count = reader.read<std::int32_t>();
  if (!count || *count < 1)
    return fail(ErrorKind::corrupt, "{}: is not an importance matrix: no count of matrices", path);
  ImportanceMatrix imatrix;
  for (std::int32_t i = 0; i < *count; ++i) {
    const auto name = read_name(reader);
    if (!name || name->empty()) return bad(i, "the name");
    const auto calls = reader.read<std::int32_t>();
    const auto n_values = reader.read<std::int32_t>();
    if (!calls || *calls < 0 || !n_values || *n_values < 1) return bad(i, "the number of values");
    const auto data = reader.take(static_cast<std::uint64_t>(*n_values) * sizeof(float));
    if (!data) return bad(i, "the values");
    std::vector<float> sums(static_cast<std::size_t>(*n_values));
    std::memcpy(sums.data(), data->data(), data->size());
    // Without calls the values are means already.
    const float divisor = *calls == 0 ? 1.0f : static_cast<float>(*calls);
    CB_TRY_STATUS(add_matrix(imatrix, path, *name, std::move(sums), divisor));
  }
  if (reader.read<std::int32_t>()) imatrix.text_name = read_name(reader).value_or("");
  return imatrix;
}

GgufHeader imatrix_header(const Calibration& calibration, const std::string& text_name) {
  GgufHeader header;
  header.metadata.set("general.type", GgufValue::of(std::string("imatrix")));
  header.metadata.set(std::string(kTexts), GgufValue::of(std::vector<std::string>{text_name}));
  header.metadata.set("imatrix.chunk_count", GgufValue::of(std::uint32_t{1}));
  header.metadata.set("imatrix.chunk_size",
                      GgufValue::of(static_cast<std::uint32_t>(calibration.tokens)));
  const Format* format = find_format("F32");
  for (const auto& tensor : calibration.uses) {
    const std::size_t columns = column_importance(tensor.second).size();
    if (columns == 0) continue;
    const auto add = [&](std::string_view suffix, std::uint64_t values) {
      header.tensors.push_back({.name = tensor.first + std::string(suffix),
                                .dimensions = {values, 1},
                                .format = format,
                                .size_bytes = values * sizeof(float)});
    };
    add(kSums, columns);
    add(kCounts, 1);
  }
  return header;
}

/// The first use of a tensor as a product; null for a table.
template <class Uses>
auto* product_use(Uses& uses) {
  const auto found =
      std::ranges::find_if(uses, [](const TensorUse& use) { return !use.column_energy.empty(); });
  return found == uses.end() ? nullptr : &*found;
}

std::span<const std::uint8_t> bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace

Result<ImportanceMatrix> parse_imatrix(std::span<const std::uint8_t> bytes,
                                       const std::string& path) {
  return as_text(bytes).starts_with("GGUF") ? parse_new_form(bytes, path)
                                            : parse_old_form(bytes, path);
}

Result<ImportanceMatrix> read_imatrix(const std::string& path) {
  CB_TRY(const MappedFile map, MappedFile::open(path));
  return parse_imatrix(map.bytes(), path);
}

Status check_imatrix(const ImportanceMatrix& imatrix, const ModelFile& file,
                     const std::string& path) {
  for (const auto& [name, columns] : imatrix.columns) {
    const ModelTensor* tensor = file.find(name);
    if (tensor == nullptr)
      return fail(ErrorKind::invalid,
                  "{}: is of another model: it has the matrix {}, which {} has not", path,
                  quoted(name), file.path());
    if (tensor->info.columns() != columns.size())
      return fail(ErrorKind::invalid,
                  "{}: is of another model: {} has {} columns there and {} in {}", path,
                  quoted(name), columns.size(), tensor->info.columns(), file.path());
  }
  CB_TRY(const Plan plan, plan_copy(file));
  for (const TensorPlan& tensor : plan.tensors) {
    const bool may_lack = tensor.role == Role::token_embedding || tensor.role == Role::output;
    if (!is_quantizable(tensor) || may_lack) continue;
    if (!imatrix.columns.contains(tensor.source->info.name))
      return fail(ErrorKind::invalid,
                  "{}: is of another model, or not whole: it lacks the matrix {} of {}", path,
                  quoted(tensor.source->info.name), file.path());
  }
  return {};
}

void apply_imatrix(const ImportanceMatrix& imatrix, Calibration& calibration) {
  for (const auto& [name, columns] : imatrix.columns) {
    std::vector<TensorUse>& uses = calibration.uses[name];
    TensorUse* product = product_use(uses);
    if (product == nullptr) product = &uses.emplace_back();
    std::vector<double>& energy = product->column_energy;
    const double old_sum = std::accumulate(energy.begin(), energy.end(), 0.0);
    const double new_sum = std::accumulate(columns.begin(), columns.end(), 0.0);
    if (!(new_sum > 0)) continue;
    const double factor = old_sum > 0 ? old_sum / new_sum : 1;
    energy.clear();
    for (const float column : columns) energy.push_back(factor * column);
  }
}

Status write_imatrix(const Calibration& calibration, const std::string& text_name,
                     const std::string& path) {
  CB_TRY(GgufWriter writer, GgufWriter::create(path, imatrix_header(calibration, text_name)));
  const auto tokens = static_cast<float>(calibration.tokens);
  std::size_t tensor = 0;
  for (const auto& [name, uses] : calibration.uses) {
    const TensorUse* product = product_use(uses);
    if (product == nullptr) continue;
    std::vector<float> sums;
    for (const double energy : product->column_energy)
      sums.push_back(static_cast<float>(energy) * tokens);
    CB_TRY_STATUS(writer.append(tensor++, bytes_of(sums)));
    CB_TRY_STATUS(writer.append(tensor++, bytes_of({tokens})));
  }
  return writer.finish();
}

}  // namespace checkbit

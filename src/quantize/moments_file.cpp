#include "quantize/moments_file.h"

#include <algorithm>
#include <cstring>

#include "file/gguf_layout.h"
#include "file/metadata_keys.h"
#include "quantize/layer_walk.h"

namespace checkbit {
namespace {

using gguf_layout::quoted;

constexpr std::string_view kSuffix = ".moments";
constexpr std::int64_t kMostColumns = 1 << 20;

std::uint64_t triangle_floats(std::int64_t width) {
  const auto w = static_cast<std::uint64_t>(width);
  return w * (w + 1) / 2;
}

std::uint64_t stored_floats(std::int64_t columns, std::int64_t block) {
  const auto whole = static_cast<std::uint64_t>(columns / block);
  return whole * triangle_floats(block) + triangle_floats(columns % block);
}

}  // namespace

std::int64_t moment_block(std::int64_t columns, std::uint64_t copies, std::uint64_t memory_bytes) {
  constexpr std::int64_t kSuperBlock = 256;
  const auto bytes = [&](std::int64_t block) {
    const auto width = static_cast<std::uint64_t>(block);
    return copies * sizeof(float) * width * width;
  };
  std::int64_t block = columns;
  while (block > kSuperBlock && bytes(block) > memory_bytes)
    block = (block / 2 + kSuperBlock - 1) / kSuperBlock * kSuperBlock;
  return block;
}

std::vector<MomentsEntry> moments_entries(const ModelConfig& config) {
  std::vector<MomentsEntry> entries;
  const Hyperparameters& h = config.hyperparameters;
  for (std::int64_t layer = 0; layer <= h.layers; ++layer) {
    for (const InputGroup& group : input_groups(*config.architecture, layer == h.layers)) {
      const RoleInfo& info = role_info(group.leader);
      entries.push_back({info.tensor_name(static_cast<int>(layer)), h.size_of(info.columns)});
    }
  }
  return entries;
}

Result<Calibration> energies_of(const MomentsFile& file, const ModelConfig& config) {
  Calibration calibration;
  calibration.tokens = file.info().tokens;
  const std::int64_t layers = config.hyperparameters.layers;
  for (std::int64_t layer = 0; layer <= layers; ++layer) {
    for (const InputGroup& group : input_groups(*config.architecture, layer == layers)) {
      const auto name_of = [&](Role role) {
        return role_info(role).tensor_name(static_cast<int>(layer));
      };
      CB_TRY(const SecondMoments moments, file.read(name_of(group.leader)));
      for (const Role role : group.roles) {
        const Use use = {.role = role, .layer = layer == layers ? 0 : layer};
        calibration.uses[name_of(role)].push_back(
            {.use = use, .column_energy = moments.energies()});
      }
    }
  }
  return calibration;
}

Result<MomentsWriter> MomentsWriter::create(const std::string& path,
                                            std::span<const MomentsEntry> entries,
                                            const MomentsInfo& info, std::uint64_t copies,
                                            std::uint64_t memory_bytes) {
  GgufHeader header;
  std::vector<std::uint32_t> columns, blocks;
  for (const MomentsEntry& entry : entries) {
    const std::int64_t block = moment_block(entry.columns, copies, memory_bytes);
    const std::uint64_t floats = stored_floats(entry.columns, block);
    columns.push_back(static_cast<std::uint32_t>(entry.columns));
    blocks.push_back(static_cast<std::uint32_t>(block));
    header.tensors.push_back({.name = entry.name + std::string(kSuffix),
                              .dimensions = {floats},
                              .format = find_format("F32"),
                              .size_bytes = floats * sizeof(float)});
  }
  header.metadata.set("general.type", GgufValue::of(std::string("moments")));
  header.metadata.set(std::string(kKeyCalibrationSource), GgufValue::of(info.source_sha256));
  header.metadata.set(std::string(kKeyCalibrationText), GgufValue::of(info.text_name));
  header.metadata.set(std::string(kKeyCalibrationTokens), GgufValue::of(info.tokens));
  header.metadata.set(std::string(kKeyCalibrationColumns), GgufValue::of(std::move(columns)));
  header.metadata.set(std::string(kKeyCalibrationBlocks), GgufValue::of(std::move(blocks)));
  CB_TRY(GgufWriter writer, GgufWriter::create(path, std::move(header)));
  return MomentsWriter(std::move(writer));
}

Status MomentsWriter::append(const SecondMoments& moments) {
  for (std::int64_t b = 0; b < moments.blocks(); ++b) {
    const std::int64_t width = moments.width(b);
    for (std::int64_t i = 0; i < width; ++i) {
      const float* row = moments.triangle(b) + i * width;
      CB_TRY_STATUS(writer_.append(next_, {reinterpret_cast<const std::uint8_t*>(row),
                                           static_cast<std::size_t>(i + 1) * sizeof(float)}));
    }
  }
  ++next_;
  return {};
}

Result<MomentsFile> MomentsFile::open(const std::string& path) {
  CB_TRY(MappedFile map, MappedFile::open(path));
  CB_TRY(MomentsFile file, parse(map.bytes(), path));
  file.map_ = std::move(map);
  return file;
}

Result<MomentsFile> MomentsFile::parse(std::span<const std::uint8_t> bytes,
                                       const std::string& path) {
  CB_TRY(const GgufHeader header, parse_gguf(bytes, path));
  const auto columns = header.metadata.get_ints(kKeyCalibrationColumns);
  const auto blocks = header.metadata.get_ints(kKeyCalibrationBlocks);
  const auto tokens = header.metadata.get_uint(kKeyCalibrationTokens);
  if (!columns || !blocks || !tokens || columns->size() != header.tensors.size() ||
      blocks->size() != columns->size()) {
    return fail(ErrorKind::invalid,
                "{}: is a GGUF file, but none that --write-calibration wrote, or it is damaged: {} "
                "and its like are missing or do not fit its tensors",
                path, kKeyCalibrationColumns);
  }
  MomentsFile file;
  file.path_ = path;
  file.info_ = {
      .source_sha256 = std::string(header.metadata.get_string(kKeyCalibrationSource).value_or("")),
      .text_name = std::string(header.metadata.get_string(kKeyCalibrationText).value_or("")),
      .tokens = *tokens};
  for (std::size_t i = 0; i < header.tensors.size(); ++i) {
    const GgufTensor& tensor = header.tensors[i];
    const std::int64_t n = (*columns)[i], block = (*blocks)[i];
    const bool sizes = n >= 1 && n <= kMostColumns && block >= 1 && block <= n;
    if (!sizes || !tensor.name.ends_with(kSuffix) || tensor.format->name != "F32" ||
        tensor.elements() != stored_floats(n, block)) {
      return fail(ErrorKind::corrupt,
                  "{}: tensor {} does not hold the moments of {} columns in blocks of {}", path,
                  quoted(tensor.name), n, block);
    }
    file.entries_.push_back({tensor.name.substr(0, tensor.name.size() - kSuffix.size()), n, block,
                             bytes.subspan(header.data_offset + tensor.offset, tensor.size_bytes)});
  }
  return file;
}

Status MomentsFile::check(std::span<const MomentsEntry> entries,
                          const std::string& source_sha256) const {
  if (!info_.source_sha256.empty() && info_.source_sha256 != source_sha256) {
    return fail(ErrorKind::invalid,
                "{}: was measured on another model (its hash begins with {}, this one's with {})",
                path_, info_.source_sha256.substr(0, 12), source_sha256.substr(0, 12));
  }
  for (const MomentsEntry& entry : entries) {
    const auto found = std::ranges::find(entries_, entry.name, &Entry::name);
    if (found != entries_.end() && found->columns == entry.columns) continue;
    return fail(ErrorKind::invalid, "{}: is of another model: it lacks {} with {} columns", path_,
                quoted(entry.name), entry.columns);
  }
  return {};
}

Result<SecondMoments> MomentsFile::read(const std::string& name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  if (found == entries_.end())
    return fail(ErrorKind::invalid, "{}: has no moments of {}", path_, quoted(name));
  SecondMoments moments{.columns = found->columns, .block = found->block};
  moments.tokens = static_cast<double>(info_.tokens);
  moments.values.assign(SecondMoments::floats(found->columns, found->block), 0.0f);
  const std::uint8_t* at = found->bytes.data();
  for (std::int64_t b = 0; b < moments.blocks(); ++b) {
    const std::int64_t width = moments.width(b);
    for (std::int64_t i = 0; i < width; ++i) {
      const std::size_t bytes = static_cast<std::size_t>(i + 1) * sizeof(float);
      std::memcpy(moments.triangle(b) + i * width, at, bytes);
      at += bytes;
    }
  }
  if (map_) map_->drop_pages(found->bytes);
  return moments;
}

}  // namespace checkbit

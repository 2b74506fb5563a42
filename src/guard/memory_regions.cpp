#include "guard/memory_regions.h"

#include "weights/packed_fields.h"

namespace checkbit {
namespace {

/// The model hands out its memory to be read; here it is damaged on purpose, and it is not
/// constant.
std::span<std::uint8_t> writable(const void* data, std::size_t bytes) {
  return {static_cast<std::uint8_t*>(const_cast<void*>(data)), bytes};
}

/// One block of 16 positions.
FieldMap cache_block_map(CacheType type, std::int64_t elements) {
  FieldMapBuilder map;
  const auto count = static_cast<std::uint32_t>(elements * kCacheBlock);
  if (type == CacheType::q8_0) {
    const auto groups = static_cast<std::uint32_t>(cache_groups(elements) * kCacheBlock);
    map.add(Field::quant, FieldPart::whole, groups * kCacheGroup * 8);
    for (std::uint32_t i = 0; i < groups; ++i) map.add_float(Field::scale, 10, 5);
    return map.take();
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    if (type == CacheType::f16) {
      map.add_float(Field::value, 10, 5);
    } else {
      map.add_float(Field::value, 23, 8);
    }
  }
  return map.take();
}

}  // namespace

Result<MemoryRegions> MemoryRegions::of_weights(const Session& session) {
  const Model& model = session.model();
  const Hyperparameters& h = model.hyperparameters();
  MemoryRegions found;
  const auto add = [&](std::string name, std::int64_t layer, std::span<std::uint8_t> bytes,
                       FieldMap map) {
    found.maps_.push_back(std::move(map));
    found.regions_.push_back({std::move(name), layer, bytes, &found.maps_.back()});
  };
  for (int r = 0; r < kRoleCount; ++r) {
    const Role role = static_cast<Role>(r);
    const RoleInfo& info = role_info(role);
    for (std::int64_t layer = 0; layer < (info.per_layer() ? h.layers : 1); ++layer) {
      const std::string name = info.tensor_name(static_cast<int>(layer));
      const std::int64_t shown = info.per_layer() ? layer : -1;
      const PackedMatrix* matrix =
          info.rows == Dimension::one ? nullptr : model.matrix(role, layer);
      if (matrix != nullptr && matrix->name() == name) {  // or another stands in its place
        if (matrix->packed_bytes() == 0) {
          return fail(ErrorKind::unsupported,
                      "{}: tensor {} stays in the file's map and cannot be damaged in memory",
                      session.file().path(), name);
        }
        const auto bytes = matrix->packed_from(0);
        add(name, shown, writable(bytes.data(), bytes.size()), packed_field_map(*matrix));
      }
      const float* vector = info.rows == Dimension::one ? model.vector(role, layer) : nullptr;
      const ModelTensor* tensor = vector == nullptr ? nullptr : session.file().find(name);
      if (tensor != nullptr) {
        add(name, shown, writable(vector, tensor->info.columns() * sizeof(float)),
            field_map(*find_format("F32")));
      }
    }
  }
  return found;
}

MemoryRegions MemoryRegions::of_cache(Session& session) {
  const Hyperparameters& h = session.model().hyperparameters();
  const KvCache& cache = session.cache();
  const std::int64_t blocks = (cache.length() + kCacheBlock - 1) / kCacheBlock;
  MemoryRegions found;
  const auto add = [&](const char* what, std::int64_t layer, std::int64_t head, const void* data,
                       std::int64_t elements) {
    const std::int64_t bytes = cache_bytes(cache.type(), elements, blocks * kCacheBlock);
    found.maps_.push_back(cache_block_map(cache.type(), elements));
    found.regions_.push_back({fmt::format("blk.{}.{}.{}", layer, what, head), layer,
                              writable(data, static_cast<std::size_t>(bytes)),
                              &found.maps_.back()});
  };
  for (std::int64_t layer = 0; layer < h.layers; ++layer) {
    for (std::int64_t head = 0; head < h.key_value_heads; ++head) {
      add("keys", layer, head, cache.keys(layer, head), h.head_size);
      add("values", layer, head, cache.values(layer, head), h.value_size);
    }
  }
  return found;
}

}  // namespace checkbit

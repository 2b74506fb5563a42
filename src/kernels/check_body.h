// The other side of the check of products. Included per instruction set.
// What it must compute: docs/guard.md, "Exact checks". All sums wrap at 32 bits.

/// The sum over columns of column sum * activation; alone in its block, a token's groups are
/// weighted as product_tile weights them.
std::int32_t check_sum(const CheckSumArguments& a) {
  const I32x16 step = i32_set(a.width == 1 ? static_cast<std::int32_t>(kCheckStep) : 1);
  const std::int8_t* q = a.q + a.lane * a.group;
  const std::int32_t* columns = a.columns;
  I32x16 sum = i32_zero();
  for (std::int64_t left = a.n; left > 0; left -= a.group) {
    sum = sum * step;
    for (int i = 0; i < a.group; i += 16) {
      sum = sum + i32_load_i8(reinterpret_cast<const std::uint8_t*>(q) + i) * i32_load(columns + i);
    }
    q += a.group * a.width;
    columns += a.group;
  }
  return i32_sum(sum);
}

void add_column_sums(const ColumnSumArguments& a) {
  std::int64_t at = 0;
  for (int sub = 0; at < a.n; ++sub) {
    const I32x16 factor = i32_set(static_cast<std::int32_t>(a.factors[sub]));
    const I32x16 constant = i32_set(static_cast<std::int32_t>(a.constants[sub]));
    for (const std::int64_t end = at + a.sub; at < end; at += 16) {
      const I32x16 sum = i32_load(a.columns + at) + constant;
      i32_store(a.columns + at, sum + factor * i32_load_u8(a.q + at));
    }
  }
}

/**
 * Operations on the lanes of 128-bit vectors, by the names that WebAssembly's text format has for them (core specification 2.0,
 * 4.4.3). `f32x4` and `f64x2` ones round to nearest and know no flags: exact floating point is made of them with care.
 */
export type LaneOperation =
  | `i8x16.${'swizzle' | 'eq' | 'gt_s' | 'abs' | 'neg' | 'narrow_i16x8_s' | 'narrow_i16x8_u' | 'add' | 'add_sat_s' | 'add_sat_u' | 'sub' | 'sub_sat_s' | 'sub_sat_u' | 'min_s' | 'min_u' | 'max_s' | 'max_u' | 'avgr_u'}`
  | `i16x8.${'eq' | 'gt_s' | 'extadd_pairwise_i8x16_u' | 'abs' | 'neg' | 'narrow_i32x4_s' | 'narrow_i32x4_u' | 'extend_low_i8x16_s' | 'extend_low_i8x16_u' | 'add' | 'add_sat_s' | 'add_sat_u' | 'sub' | 'sub_sat_s' | 'sub_sat_u' | 'mul' | 'min_s' | 'min_u' | 'max_s' | 'max_u' | 'avgr_u'}`
  | `i32x4.${'eq' | 'gt_s' | 'extadd_pairwise_i16x8_u' | 'abs' | 'neg' | 'extend_low_i16x8_s' | 'extend_low_i16x8_u' | 'add' | 'sub' | 'mul' | 'min_s' | 'min_u' | 'max_s' | 'max_u' | 'dot_i16x8_s' | 'extmul_low_i16x8_s' | 'extmul_high_i16x8_s' | 'extmul_low_i16x8_u' | 'extmul_high_i16x8_u' | 'trunc_sat_f32x4_s' | 'trunc_sat_f64x2_s_zero'}`
  | `i64x2.${'neg' | 'extend_low_i32x4_s' | 'extend_low_i32x4_u' | 'add' | 'sub' | 'mul' | 'eq' | 'gt_s' | 'extmul_low_i32x4_s' | 'extmul_low_i32x4_u'}`
  | `f32x4.${'eq' | 'ne' | 'lt' | 'gt' | 'le' | 'ge' | 'demote_f64x2_zero' | 'ceil' | 'floor' | 'trunc' | 'nearest' | 'abs' | 'neg' | 'sqrt' | 'add' | 'sub' | 'mul' | 'div' | 'pmin' | 'pmax' | 'convert_i32x4_s'}`
  | `f64x2.${'eq' | 'ne' | 'lt' | 'gt' | 'le' | 'ge' | 'promote_low_f32x4' | 'ceil' | 'floor' | 'trunc' | 'nearest' | 'abs' | 'neg' | 'sqrt' | 'add' | 'sub' | 'mul' | 'div' | 'pmin' | 'pmax' | 'convert_low_i32x4_s'}`
  | `v128.${'not' | 'and' | 'andnot' | 'or' | 'xor' | 'bitselect'}`;

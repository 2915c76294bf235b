"""The standard blocks in Chinese, in simplified characters, as marketing operators speak of them."""

from __future__ import annotations

from collections.abc import Mapping

from tactics.rules.words import BlockWords, ParameterWords

_P = ParameterWords

_ITEM = {"item_id": _P("商品", "商品 ID；不填表示当前商品，没有当前商品时不限商品")}
_SALES_CHANNEL = {"sales_channel": _P("销售渠道", "在哪个渠道售出；不填表示不限渠道")}
_SKU = {"sku": _P("SKU", "哪个 SKU")}
_CATEGORY = {"category": _P("类目", "哪个类目")}
_ATTRIBUTE = {"name": _P("属性名", "属性的名称")}
_ACTION = {"action": _P("行为", "用户做了什么：view（浏览）、purchase（购买）等")}
_BEHAVIOUR = {
    **_ACTION,
    "window_s": _P("时间窗口", "往前看多久，以秒为单位"),
    "item_id": _P("商品", "只看与该商品有关的行为"),
    "category": _P("类目", "只看与该类目商品有关的行为"),
    "item_set": _P("商品集", "只看与该商品集内商品有关的行为"),
}
_AMOUNT = {"amount": _P("数值", "用来判断的数值")}
_ONLY_ITEM = {"item_id": _P("商品", "只对该商品的订单行生效")}
_ONLY_SKU = {"sku": _P("SKU", "只对该 SKU 的订单行生效")}
_ONLY_CATEGORY = {"category": _P("类目", "只对该类目的订单行生效")}
_BASE = {"base": _P("计算基准", "按哪个价格计算百分比：running 为当前已优惠的价格，original 为原价")}
_BENEFIT = {"benefit": _P("权益", "发放活动中的哪一项权益")}
_OFF = {"amount_minor": _P("减多少", "减掉的金额，以最小货币单位计")}
_PERCENT = {"percent": _P("减百分之几", "减掉的百分比：10 表示减 10%，即打九折")}

_RESOURCES: Mapping[str, BlockWords] = {
    "order_amount": BlockWords(
        "订单金额", "订单优惠前的总金额，以最小货币单位计（人民币为分）", "订单金额", _SALES_CHANNEL
    ),
    "order_quantity": BlockWords("订单件数", "订单里一共有多少件商品", "订单商品件数", _SALES_CHANNEL),
    "item_amount": BlockWords(
        "商品金额", "订单中某个商品优惠前的金额合计，以最小货币单位计", "订单中该商品的金额", _ITEM
    ),
    "item_quantity": BlockWords("商品件数", "订单中某个商品有多少件", "订单中该商品的件数", _ITEM),
    "sku_amount": BlockWords(
        "SKU 金额", "订单中某个 SKU 优惠前的金额合计，以最小货币单位计", "订单中 SKU {sku} 的金额", _SKU
    ),
    "sku_quantity": BlockWords("SKU 件数", "订单中某个 SKU 有多少件", "订单中 SKU {sku} 的件数", _SKU),
    "category_amount": BlockWords(
        "类目金额", "订单中某个类目优惠前的金额合计，以最小货币单位计", "订单中类目 {category} 的金额", _CATEGORY
    ),
    "category_quantity": BlockWords(
        "类目件数", "订单中某个类目有多少件商品", "订单中类目 {category} 的件数", _CATEGORY
    ),
    "no_batch_item_quantity": BlockWords(
        "无批次商品件数", "订单中某个商品不属于任何批次的件数", "订单中该商品的无批次件数", _ITEM
    ),
    "user_attribute": BlockWords("用户属性", "系统里保存的用户属性", "用户的 {name}", _ATTRIBUTE),
    "event_attribute": BlockWords("事件属性", "正在处理的事件或请求所带的属性", "事件的 {name}", _ATTRIBUTE),
    "behaviour_count": BlockWords(
        "行为次数", "到当前时刻为止，用户在一段时间内做了多少次某种行为", "用户做 {action} 的次数", _BEHAVIOUR
    ),
    "behaviour_quantity": BlockWords(
        "行为件数", "到当前时刻为止，用户在一段时间内的某种行为共涉及多少件商品", "用户做 {action} 的件数", _BEHAVIOUR
    ),
    "seconds_since": BlockWords(
        "距上次行为的秒数",
        "用户上一次做某种行为距今多少秒；从未做过则视为缺失",
        "用户上次做 {action} 距今的秒数",
        _ACTION,
    ),
    "now": BlockWords("当前时间", "本次计算的时刻", "当前时间"),
    "hour_of_day": BlockWords("当前小时", "按事实给出的时区，现在是几点：0 到 23", "当前小时"),
    "day_of_week": BlockWords("星期几", "按事实给出的时区，今天是星期几：1 为星期一，7 为星期日", "星期几"),
}

_CONDITIONS: Mapping[str, BlockWords] = {
    "amount_at_least": BlockWords(
        "满（不低于）",
        "数值达到门槛，即满 amount_at；开启 enable_multiple 后按“每满”计次，满几个门槛就算几次",
        "满 {amount_at}",
        {
            **_AMOUNT,
            "amount_at": _P("门槛", "至少要达到多少"),
            "enable_multiple": _P("每满", "是否按“每满”累计：满几个门槛就算几次"),
            "max_multiple": _P("最多次数", "“每满”最多算几次"),
        },
    ),
    "amount_more_than": BlockWords(
        "大于", "数值大于 amount_at", "大于 {amount_at}", {**_AMOUNT, "amount_at": _P("界限", "必须超过多少")}
    ),
    "amount_below": BlockWords(
        "小于", "数值小于 amount_at", "小于 {amount_at}", {**_AMOUNT, "amount_at": _P("界限", "必须低于多少")}
    ),
    "amount_between": BlockWords(
        "介于",
        "数值在 low 和 high 之间，含两端",
        "在 {low} 到 {high} 之间",
        {**_AMOUNT, "low": _P("下限", "最少是多少"), "high": _P("上限", "最多是多少")},
    ),
    "equals": BlockWords(
        "等于",
        "值就是指定的值；类型不同的值永远不相等",
        "等于 {to}",
        {"value": _P("值", "用来判断的值"), "to": _P("指定值", "必须等于什么")},
    ),
    "in_set": BlockWords(
        "属于",
        "值是列表中的一个",
        "属于 {values}",
        {"value": _P("值", "用来判断的值"), "values": _P("列表", "可以是哪些值")},
    ),
    "has_member": BlockWords(
        "列表包含",
        "值是一个列表，并且其中有指定的成员",
        "列表中有 {member}",
        {"value": _P("列表", "用来判断的列表"), "member": _P("成员", "列表中必须有什么")},
    ),
    "contains": BlockWords(
        "文本包含",
        "值是一段文本，并且其中有指定的文字",
        "文本中有 {text}",
        {"value": _P("文本", "用来判断的文本"), "text": _P("文字", "文本中必须有什么")},
    ),
    "within": BlockWords(
        "在范围内",
        "时间或数值不早于（不小于）from，并且早于（小于）to",
        "在范围内",
        {
            "value": _P("值", "用来判断的时间或数值"),
            "from": _P("起点", "从哪里开始，含起点"),
            "to": _P("终点", "到哪里为止，不含终点"),
        },
    ),
    "exists": BlockWords("有值", "值存在：既没有缺失，也不是 null", "有值", {"value": _P("值", "用来判断的值")}),
}

_ACTIONS: Mapping[str, BlockWords] = {
    "send_coupon": BlockWords("发优惠券", "给用户发一张优惠券", "发优惠券 {benefit}", _BENEFIT),
    "give_points": BlockWords(
        "送积分", "给用户送积分", "送 {points} 积分", {"points": _P("积分", "送多少积分"), **_BENEFIT}
    ),
    "item_promotion_price": BlockWords(
        "商品促销价",
        "商品按固定单价出售；原价更低时不生效",
        "商品促销价 {price_minor}",
        {
            **_ONLY_ITEM,
            "price_minor": _P("促销价", "每件的价格，以最小货币单位计"),
            **_ONLY_SKU,
            "out_biz_id": _P("外部业务 ID", "调用方自己给这个价格的编号"),
            "no_batch": _P("仅无批次", "只对无批次的订单行生效"),
        },
    ),
    "item_amount_off": BlockWords(
        "商品立减",
        "商品减掉一定金额，按件减或按订单行减",
        "商品减 {amount_minor}",
        {
            **_ONLY_ITEM,
            **_OFF,
            **_ONLY_SKU,
            **_ONLY_CATEGORY,
            "per": _P("怎么减", "unit 为每件减一次，line 为每个订单行减一次"),
        },
    ),
    "item_percent_off": BlockWords(
        "商品折扣",
        "商品按百分比减价",
        "商品减 {percent}%",
        {**_ONLY_ITEM, **_PERCENT, **_ONLY_SKU, **_ONLY_CATEGORY, **_BASE},
    ),
    "order_amount_off": BlockWords("订单立减", "整单减掉一定金额", "订单减 {amount_minor}", _OFF),
    "order_percent_off": BlockWords("订单折扣", "整单按百分比减价", "订单减 {percent}%", {**_PERCENT, **_BASE}),
    "rebate": BlockWords(
        "返利",
        "事后返还一定金额，或按订单金额的百分比返还",
        "返利",
        {
            "amount_minor": _P("返多少", "返还的金额，以最小货币单位计"),
            "percent": _P("返百分之几", "返还订单金额的百分之几"),
            **_BENEFIT,
        },
    ),
    "gift": BlockWords(
        "赠品",
        "免费送商品",
        "送商品 {item_id} {quantity} 件",
        {"item_id": _P("商品", "送哪个商品"), "quantity": _P("件数", "送多少件")},
    ),
}

WORDS: Mapping[str, BlockWords] = {
    f"pbb.{kind}.{name}": words
    for kind, group in (("resource", _RESOURCES), ("condition", _CONDITIONS), ("action", _ACTIONS))
    for name, words in group.items()
}

"""Which words of a prompt ask for which mood, scene, thing and weather.

Invariant: the first row that matches wins, so rows go from the particular to the general.
Latin entries match whole words (a plural s is allowed); CJK entries match anywhere.
"""

Rows = tuple[tuple[str, tuple[str, ...]], ...]

MOODS: Rows = (
    ("mono", ("monochrome", "black and white", "black-and-white", "noir", "ink", "黑白", "白黒")),
    ("neon", ("neon", "cyberpunk", "synthwave", "vaporwave", "霓虹", "ネオン")),
    ("golden", ("golden hour", "golden", "warm light", "amber", "黄金")),
    ("sunset", ("sunset", "dusk", "twilight", "evening", "日落", "夕", "晚霞")),
    ("dawn", ("dawn", "sunrise", "morning", "pastel", "清晨", "朝", "黎明")),
    ("night", ("night", "midnight", "moon", "moonlit", "moonlight", "starry", "stars", "aurora",
               "northern lights", "夜", "星", "月")),
    ("storm", ("storm", "stormy", "rain", "rainy", "thunder", "overcast", "gloomy", "雨", "嵐")),
    ("winter", ("winter", "snow", "snowy", "ice", "icy", "frost", "frozen", "arctic", "雪", "冬")),
    ("autumn", ("autumn", "fall colours", "fall colors", "maple", "october", "秋")),
    ("blossom", ("spring", "blossom", "cherry", "sakura", "pink", "春", "桜", "樱")),
    ("desert", ("desert", "dune", "sahara", "sand", "沙漠", "砂漠")),
    ("forest", ("forest", "woods", "jungle", "woodland", "森", "林")),
    ("ocean", ("ocean", "sea", "beach", "island", "coast", "tropical", "wave", "海")),
    ("day", ("day", "daylight", "noon", "sunny", "summer", "blue sky", "夏", "晴")),
)  # fmt: skip

SCENES: Rows = (
    ("still_life", ("still life", "bottle", "fruit", "apple", "orange", "lemon", "pear", "vase",
                    "product", "perfume", "cup", "mug", "coffee", "tea", "wine", "table", "food",
                    "bowl", "flower", "bouquet", "ceramic", "静物", "花", "果", "瓶", "茶")),
    ("space", ("planet", "space", "galaxy", "nebula", "cosmos", "saturn", "mars", "orbit",
               "astronaut", "universe", "宇宙", "星球", "惑星")),
    ("portrait", ("portrait", "headshot", "face", "close-up", "肖像", "人像")),
    ("city", ("city", "skyline", "skyscraper", "street", "downtown", "building", "tokyo",
              "new york", "manhattan", "hong kong", "shanghai", "metropolis", "urban",
              "城市", "都市", "街", "東京", "上海")),
    ("dunes", ("desert", "dune", "sahara", "camel", "沙漠", "砂漠")),
    ("sea", ("ocean", "sea", "beach", "island", "coast", "boat", "sailboat", "ship", "harbor",
             "harbour", "lighthouse", "wave", "shore", "海", "湾", "港")),
    ("mountains", ("mountain", "alps", "peak", "summit", "cliff", "valley", "canyon",
                   "fuji", "ridge", "highland", "山")),
    ("forest", ("forest", "woods", "jungle", "woodland", "pine", "tree", "hill", "森", "林")),
    ("poster", ("poster", "sign", "logo", "cover", "banner", "typography", "lettering", "label",
                "card", "headline", "title", "slogan", "海报", "ポスター", "看板")),
    ("mountains", ("landscape", "lake", "river", "fjord", "sky", "aurora", "snow", "winter")),
    ("city", ("neon", "cyberpunk")),
    ("portrait", ("woman", "man", "girl", "boy", "model", "女", "男")),
)  # fmt: skip

THINGS: Rows = (
    ("big_cat", ("leopard", "snow leopard", "lion", "tiger", "panther", "jaguar", "cheetah",
                 "big cat", "豹", "虎", "狮")),
    ("cat", ("cat", "kitten", "猫")),
    ("wolf", ("wolf", "wolves", "dog", "fox", "coyote", "狼", "犬", "狗")),
    ("deer", ("deer", "stag", "elk", "moose", "reindeer", "鹿")),
    ("horse", ("horse", "pony", "stallion", "unicorn", "马", "馬")),
    ("eagle", ("eagle", "hawk", "falcon", "owl", "dragon", "鹰", "鷹")),
    ("birds", ("bird", "birds", "gull", "seagull", "crane", "swallow", "鸟", "鳥")),
    ("hiker", ("person", "hiker", "traveler", "traveller", "wanderer", "climber", "figure",
               "monk", "samurai", "人")),
    ("lighthouse", ("lighthouse", "灯塔", "灯台")),
    ("boat", ("boat", "sailboat", "ship", "sailing", "yacht", "船", "帆")),
    ("cabin", ("cabin", "house", "cottage", "hut", "lodge", "village", "barn", "家", "屋")),
    ("torii", ("torii", "shrine", "鳥居", "神社")),
    ("pagoda", ("pagoda", "temple", "塔", "寺")),
    ("balloon", ("balloon", "hot air", "hot-air", "气球", "気球")),
)  # fmt: skip

WEATHERS: Rows = (
    ("aurora", ("aurora", "northern lights", "极光", "オーロラ")),
    ("rain", ("rain", "rainy", "storm", "雨")),
    ("snow", ("snow", "snowy", "snowing", "blizzard", "snowfall", "雪")),
    ("mist", ("mist", "misty", "fog", "foggy", "haze", "hazy", "雾", "霧")),
)

WATERS = ("lake", "river", "reflection", "fjord", "pond", "water", "bay", "湖", "川", "水")

PROPS: Rows = (
    ("bottle", ("bottle", "wine", "perfume", "product", "瓶")),
    ("vase", ("vase", "flower", "bouquet", "rose", "tulip", "ceramic", "花")),
    ("cup", ("cup", "mug", "coffee", "tea", "茶")),
    ("apple", ("apple", "cherry", "strawberry", "苹果")),
    ("orange", ("orange", "tangerine", "peach", "橙")),
    ("lemon", ("lemon", "lime", "citrus", "柠檬")),
    ("pear", ("pear", "梨")),
)

CHANGES: Rows = (
    ("mono", ("monochrome", "black and white", "black-and-white", "grayscale", "greyscale",
              "noir", "黑白", "白黒")),
    ("night", ("night", "midnight", "dark", "darker", "moonlight", "moonlit", "夜")),
    ("snow", ("snow", "snowy", "winter", "snowfall", "雪", "冬")),
    ("warm", ("warm", "warmer", "golden", "sunset", "autumn", "sunny", "evening", "暖", "夕")),
    ("cool", ("cool", "cooler", "cold", "blue", "bluer", "ice", "dawn", "冷")),
    ("bright", ("bright", "brighter", "light", "lighter", "day", "daylight", "明")),
    ("vivid", ("vivid", "vibrant", "neon", "colourful", "colorful", "saturated", "pop")),
    ("vintage", ("vintage", "retro", "film", "faded", "sepia", "old")),
    ("remove", ("remove", "erase", "delete", "without", "消", "除")),
)  # fmt: skip

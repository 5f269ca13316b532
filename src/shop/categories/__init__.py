"""The shop's categories, by name."""

from src.shop.categories._category import Category
from src.shop.categories.accessories import HAT, SUNGLASSES, WATCH
from src.shop.categories.bags import BACKPACK, HANDBAG
from src.shop.categories.bottoms import DRESS, SKIRT, TROUSERS
from src.shop.categories.footwear import BOOT, HEELS, SNEAKER
from src.shop.categories.furniture import CHAIR, LAMP, SOFA
from src.shop.categories.tableware import BOTTLE, MUG
from src.shop.categories.tops import JACKET, JUMPER, SHIRT, T_SHIRT

__all__ = ["CATEGORIES", "Category"]

CATEGORIES: dict[str, Category] = {
    "t_shirt": T_SHIRT,
    "jumper": JUMPER,
    "shirt": SHIRT,
    "jacket": JACKET,
    "dress": DRESS,
    "skirt": SKIRT,
    "trousers": TROUSERS,
    "sneaker": SNEAKER,
    "boot": BOOT,
    "heels": HEELS,
    "handbag": HANDBAG,
    "backpack": BACKPACK,
    "hat": HAT,
    "watch": WATCH,
    "sunglasses": SUNGLASSES,
    "mug": MUG,
    "bottle": BOTTLE,
    "lamp": LAMP,
    "chair": CHAIR,
    "sofa": SOFA,
}

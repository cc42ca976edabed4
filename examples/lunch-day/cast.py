"""Names who is who on the lunch day: companies, employees, cards, shops. Read by story.py."""

from __future__ import annotations

#: id, name, purse of each employee, policy; the most that it pays, and when.
COMPANIES = {
    "HELIOS": ("Ήλιος Ενέργεια Α.Ε.", 6000, {"daily": 2500}),
    "NEVA": ("Нева Логистика", 6000, {"daily": 2500}),
    "NILE": ("شركة النيل للطباعة", 6000, {"daily": 2500, "single": 1800}),
    "LOTUS": ("कमल तकनीक", 6000, {"daily": 2500, "count": 2}),
    "HANGANG": ("한강 디자인", 6000, {"daily": 2500, "pin_above": 1000}),
    "CHANGJIANG": ("长江印务", 900, {"daily": 2500}),
    "TAMAR": ("תמר תוכנה", 6000, {"daily": None, "categories": "5811,5812,5813,5814"}),
    "WISLA": ("Złota Wisła Sp. z o.o.", 6000, {"daily": 2500}),
    "NACHTWERK": ("Nachtwerk Bäckereien GmbH", 6000, {"daily": 2500, "opens": "22:00", "closes": "06:00"}),
    "ARARAT": ("Արարատ Տուր", 6000, {"daily": 2500, "week_days": "not-today"}),
    "PHOENIX": ("Phoenix Holdings (in liquidation)", 6000, {"daily": 2500, "state": "blocked"}),
}

#: id: company, name, surname.
PEOPLE = {
    "E101": ("HELIOS", "Ελένη", "Παπαδοπούλου"),
    "E102": ("HELIOS", "Γιώργος", "Οικονόμου"),
    "E103": ("HELIOS", "Σοφία", "Αντωνίου"),
    "E104": ("HELIOS", "Δημήτρης", "Καραγιάννης"),
    "E105": ("HELIOS", "Άννα", "Δημητρίου"),
    "E106": ("HELIOS", "Νίκος", "Βασιλείου"),
    "E201": ("NEVA", "Анастасия", "Кузнецова"),
    "E202": ("NEVA", "Юрий", "Щербаков"),
    "E203": ("NEVA", "Олена", "Шевченко"),
    "E204": ("NEVA", "Ђорђе", "Јовановић"),
    "E205": ("NEVA", "Борис", "Иванов"),
    "E206": ("NEVA", "Айгүл", "Нұрланова"),
    "E301": ("NILE", "فاطمة", "الزهراء"),
    "E302": ("NILE", "محمد", "عبد الله"),
    "E303": ("NILE", "ليلى", "حداد"),
    "E304": ("NILE", "زهرا", "کریمی"),
    "E305": ("NILE", "یوسف", "خان"),
    "E401": ("LOTUS", "प्रिया", "शर्मा"),
    "E402": ("LOTUS", "अर्जुन", "सिंह"),
    "E403": ("LOTUS", "கவிதா", "சுப்ரமணியம்"),
    "E404": ("LOTUS", "অনির্বাণ", "চট্টোপাধ্যায়"),
    "E405": ("LOTUS", "สมชาย", "ใจดี"),
    "E501": ("HANGANG", "민준", "김"),
    "E502": ("HANGANG", "서연", "박"),
    "E503": ("HANGANG", "지호", "제갈"),
    "E504": ("HANGANG", "さくら", "山田"),
    "E505": ("HANGANG", "ケンジ", "ファン・デル・ベルク"),
    "E601": ("CHANGJIANG", "伟", "王"),
    "E602": ("CHANGJIANG", "秀英", "欧阳"),
    "E603": ("CHANGJIANG", "雅婷", "陳"),
    "E604": ("CHANGJIANG", "磊", "张"),
    "E605": ("CHANGJIANG", "Bạch Tuyết", "Nguyễn Thị"),
    "E701": ("TAMAR", "נועה", "כהן"),
    "E702": ("TAMAR", "איתן", "בן־דוד"),
    "E703": ("TAMAR", "ნინო", "ბერიძე"),
    "E704": ("TAMAR", "ሰላም", "ተስፋዬ"),
    "E801": ("WISLA", "Łucja", "Brzęczyszczykiewicz"),
    "E802": ("WISLA", "Þórdís", "Guðmundsdóttir"),
    "E803": ("WISLA", "Gülşah", "Yıldırım"),
    "E804": ("WISLA", "João", "d'Ávila e Gusmão"),
    "E805": ("WISLA", "Åse", "Sørensen"),
    "E806": ("WISLA", "Jiří", "Dvořák"),
    "E807": ("WISLA", "Zoë", "O'Brien"),
    "E808": ("WISLA", "Ștefan", "Crăciun"),
    "E809": ("WISLA", "Nuñez", "Ibáñez"),
    "E901": ("NACHTWERK", "Jörg", "Großmann"),
    "E902": ("NACHTWERK", "Käthe", "Müller-Lüdenscheidt"),
    "E903": ("NACHTWERK", "Renée", "Weiß"),
    "EA01": ("ARARAT", "Արամ", "Խաչատրյան"),
    "EA02": ("ARARAT", "Նարե", "Գրիգորյան"),
    "EB01": ("PHOENIX", "Max", "Mustermann"),
}

#: What is wrong with somebody's card, or with the employee.
CARDS = {
    "E106": "expired",
    "E206": "expired",
    "E305": "lost",
    "E405": "stolen",
    "E505": "suspected",
    "E605": "blocked",
    "E808": "employee-blocked",
    "E809": "closed",
}

#: id: name, merchant category (ISO 18245), terminals, state.
SHOPS = {
    "CANTEEN": ("The Works Canteen", "5811", ("T1000001", "T1000002"), "active"),
    "TAVERNA": ("Ταβέρνα η Ελιά", "5812", ("T1000003",), "active"),
    "NOODLES": ("老北京面馆", "5814", ("T1000004",), "active"),
    "GROCER": ("Zielony Koszyk", "5411", ("T1000005",), "active"),
    "BAKERY": ("Boulangerie Crème & Sucre", "5462", ("T1000006",), "active"),
    "BUTCHER": ("Metzgerei Größ", "5422", ("T1000007",), "active"),
    "SWEETS": ("حلويات الشام", "5441", ("T1000008",), "active"),
    "DAIRY": ("Молочная лавка", "5451", ("T1000009",), "active"),
    "SPICES": ("मसाला भंडार", "5499", ("T1000010",), "active"),
    "BAR": ("The Last Round", "5813", ("T1000011",), "active"),
    "WINES": ("Vinmonopolet", "5921", ("T1000012",), "active"),
    "CHIUSO": ("Ristorante Chiuso", "5812", ("T1000013",), "blocked"),
}

MEALS = {"5411", "5422", "5441", "5451", "5462", "5499", "5811", "5812", "5814"}

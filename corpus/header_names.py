"""Names of columns and keys, in many languages: data for `corpus.headers`.

Names are compared without case, spaces and punctuation, so `Question_Text` is `question text`.
"""

ID = """
id; qid; faq id; question id; entry id; doc id; key; uid; uuid; identifier; number; no; nr; num
kennung; schlüssel; nummer; lfd nr; identifiant; clé; numéro; n°; identificador; clave; número
identificativo; chiave; identificatie; identyfikator; numer; lp; identifikátor; číslo; azonosító
sorszám; identificator; tunniste; идентификатор; номер; ключ; ид; ідентифікатор; № ; αναγνωριστικό
kimlik; numara; المعرف; معرف; رقم; מזהה; מספר; شناسه; आईडी; पहचान; รหัส; mã; mã số; pengenal
编号; 序号; 編號; 序號; 番号; 識別子; 번호; 아이디; 식별자
"""
QUESTION = """
question; questions; the question; question text; question title; question body; faq question
faq; query; frequently asked question; frequently asked questions; customer question; user question
main question; canonical question; domanda frequente; pregunta frecuente
frage; fragen; fragestellung; fragetext; questions fréquentes; intitulé; pregunta; preguntas
pergunta; perguntas; questão; domanda; domande; quesito; vraag; vragen; fråga; frågor; spørsmål
spørgsmål; spurning; kysymys; kysymykset; küsimus; jautājums; klausimas; pytanie; pytania; otázka
otázky; dotaz; vprašanje; pitanje; pitanja; întrebare; întrebarea; întrebări; kérdés; kérdések
pyetje; pyetja; ερώτηση; ερωτήσεις; вопрос; вопросы; питання; запитання; пытанне; въпрос; прашање
питање; soru; sorular; sual; сұрақ; суроо; савол; savol; асуулт; კითხვა; հարց; سؤال; السؤال; أسئلة
الأسئلة; שאלה; שאלות; پرسش; سوال; سوالات; پوښتنه; प्रश्न; सवाल; प्रश्‍न; প্রশ্ন; கேள்வி; ప్రశ్న
પ્રશ્ન; ಪ್ರಶ್ನೆ; ചോദ്യം; ਸਵਾਲ; ප්‍රශ්නය; คำถาม; ຄໍາຖາມ; សំណួរ; မေးခွန်း; câu hỏi; pertanyaan; soalan; tanong
katanungan; 问题; 问; 提问; 常见问题; 問題; 問; 常見問題; 質問; 質問文; 問い; よくある質問; 질문; 문의; 질의; swali; maswali
vraagstuk; galdera; cwestiwn; ceist; mistoqsija; demando; ጥያቄ; umbuzo; tambaya
"""
ANSWER = """
answer; answers; the answer; answer text; answer body; faq answer; accepted answer; best answer
correct answer; agent answer; reply text
antwort; antworten; antworttext; réponse; réponses; respuesta; respuestas; contestación; resposta
respostas; risposta; risposte; antwoord; antwoorden; svar; svör; vastaus; vastaukset; vastus; atbilde
atsakymas; odpowiedź; odpowiedzi; odpověď; odpovědi; odpoveď; odgovor; odgovori; răspuns; răspunsul
răspunsuri; válasz; válaszok; përgjigje; përgjigja; απάντηση; απαντήσεις; ответ; ответы; відповідь
відповіді; адказ; отговор; одговор; cevap; cevaplar; yanıt; cavab; жауап; жооп; ҷавоб; javob; хариулт
პასუხი; պատասխան; جواب; الجواب; إجابة; الإجابة; الاجابة; أجوبة; תשובה; תשובות; پاسخ; جوابات; ځواب
उत्तर; जवाब; উত্তর; பதில்; జవాబు; సమాధానం; જવાબ; ઉત્તર; ಉತ್ತರ; ഉത്തരം; ਜਵਾਬ; පිළිතුර; คำตอบ; ຄໍາຕອບ
ចម្លើយ; အဖြေ; câu trả lời; trả lời; đáp án; jawaban; jawapan; sagot; kasagutan; 答案; 回答; 答; 答复; 解答
答覆; 答え; 応答; 답변; 답; 대답; 응답; jibu; majibu; erantzuna; ateb; freagra; tweġiba; respondo; መልስ
impendulo; amsa
"""
VARIANTS = """
alternative question; alternative questions; alternatives; alternate question; alternate questions
alternate phrasings; variant; variants; variation; variations; paraphrase; paraphrases; utterance
utterances; similar question; similar questions; other questions; further questions; phrasings
question variants; question variations; patterns; training phrases; questions
alternativfrage; alternativfragen; varianten; variantes; varianti; warianty; варианты; 相似问题; 相似问
類似質問; 유사질문
"""
URL = """
url; link; source url; source uri; page url; web page; website; href; permalink; lien; enlace; vínculo
collegamento; länk; lenke; odkaz; łącze; ссылка; посилання; bağlantı; رابط; الرابط; קישור; پیوند; लिंक
ลิงก์; liên kết; tautan; pautan; 链接; 网址; 連結; 網址; リンク; 링크; 주소
"""
CATEGORY = """
category; categories; class; topic; section; subject area; theme; group; label
kategorie; kategorien; thema; rubrik; bereich; catégorie; rubrique; thème; categoría; tema; categoria
argomento; categorie; onderwerp; kategori; emne; ämne; luokka; aihe; kategooria; kategorija; kategoria
temat; téma; categorie; kategória; témakör; κατηγορία; θέμα; категория; тема; раздел; категорія; рубрика
konu; kateqoriya; санат; فئة; الفئة; تصنيف; موضوع; קטגוריה; נושא; دسته; زمره; श्रेणी; विषय; বিভাগ; หมวดหมู่
หมวด; danh mục; chủ đề; 类别; 分类; 類別; 分類; カテゴリ; カテゴリー; 카테고리; 분류
"""
# Taken only where no column has one of the names above; the first of these wins.
WEAK_QUESTION = """
q; prompt; utterance; input; instruction; title; name; heading; user; human; context
"""
WEAK_ANSWER = """
a; text; response; responses; reply; output; completion; solution; resolution; body; content
passage; description; assistant; bot; chatbot
"""
# Words that say nothing in a name such as `Question (EN)` or `Full answer text`.
FILLER = """
text; body; content; full; long; plain; html; markdown; string; the; your; our; user; customer; faq
of; en; de; fr; es; pt; it; nl; pl; ru; ja; ko; zh; ar; tr; english; german; deutsch; french; spanish
"""

"""Random messages that Python's email package writes: ft-text has to find text and names again."""
import json
import mailbox
import os
import random
import subprocess
import tempfile
from email.message import EmailMessage

LETTERS = {
    'us-ascii': 'abc def ghi =?_"\\;',
    'iso-8859-1': 'äöü ßéèñ abc =',
    'koi8-r': 'привет как дела abc',
    'iso-2022-jp': 'これは日本語の文章 abc',
    'gb18030': '这是中文的一个文本 abc',
    'big5': '這是中文的一個文本 abc',
    'utf-8': 'äöü 日本語 привет 😀 €“”– abc =',
}
random.seed(1)


def words(charset, n):
    text = ''.join(random.choice(LETTERS[charset]) for _ in range(n))
    return ' '.join(text.split()) or 'x'


def body(charset):
    lines = [words(charset, random.randrange(0, 200)) for _ in range(random.randrange(1, 8))]
    # ">From" is what a mailbox makes of "From", and can't be told from it.
    return '\n'.join(line if random.random() < 0.9 else '' for line in lines).strip('\n') + '\n'


def add_attachment(message):
    """A text file; returns its document."""
    charset = random.choice(list(LETTERS))
    # Two blanks may become one where a field is folded.
    name = ' '.join((words(charset, 30).replace('\\', '_').replace('"', '').strip(' ;.') or 'x').split()) + '.txt'
    text = body(charset)
    # As octets: a text part in a charset of its own is a matter of the file, which has none.
    message.add_attachment(text.encode('utf-8'), maintype='application', subtype='octet-stream', filename=name)
    return name, text


def one(number):
    message = EmailMessage()
    subject = words(random.choice(list(LETTERS)), random.randrange(1, 150))
    message['From'] = 'a@example.com'
    message['Subject'] = subject
    message['Message-ID'] = '<%d@example.com>' % number
    charset = random.choice(list(LETTERS))
    cte = random.choice(['base64', 'quoted-printable'] + (['7bit'] if charset in ('us-ascii', 'iso-2022-jp') else []))
    text = body(charset)
    try:
        message.set_content(text, charset=charset, cte=cte)
    except ValueError: # lines too long for 7bit
        message.set_content(text, charset=charset, cte='base64')
    if random.random() < 0.5:
        message.add_alternative('<p>' + 'x' * (len(text) // 2) + '</p>', subtype='html')
    files = [add_attachment(message) for _ in range(random.randrange(0, 3))]
    return message, subject, text, files


def expected_of(subject, text, files):
    if text.strip():
        yield None, '# %s\n\n%s' % (subject, text)
    for name, content in files:
        if content.strip():
            yield name.replace('/', '_'), content


def main():
    expected = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'box')
        box = mailbox.mbox(path)
        for number in range(1, 301):
            message, subject, text, files = one(number)
            box.add(message)
            expected += expected_of(subject, text, files)
        box.flush()
        out = subprocess.run(['ft-text', '-q', path], check=True, stdout=subprocess.PIPE).stdout
    got = [json.loads(line) for line in out.decode().splitlines()]
    print('1..2')
    print('%s 1 - %d documents of 300 messages' % ('ok' if len(got) == len(expected) else 'not ok', len(expected)))
    wrong = [(name, text, g) for (name, text), g in zip(expected, got)
             if g['text'] != text or name is not None and not g['id'].endswith('/' + name)]
    print('%s 2 - the same text, and the same names' % ('not ok' if wrong else 'ok'))
    for name, text, g in wrong[:5]:
        print('# want', repr((name, text)), '\n# got ', repr(g))


main()

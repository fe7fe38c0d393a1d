"""Makes a real Django project in a directory: `django_project.py DIRECTORY`, and fills it as its own people would.

`startproject` and `migrate` make the project and its SQLite file, `create_user` and a group the users. Prints nothing.
"""

import os
import subprocess
import sys

directory = sys.argv[1]
subprocess.run([sys.executable, "-m", "django", "startproject", "legacy", directory], check=True)
sys.path.insert(0, directory)
os.environ["DJANGO_SETTINGS_MODULE"] = "legacy.settings"

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User

editors = Group.objects.create(name="editors")
writers = Group.objects.create(name="writers")
ada = User.objects.create_user("ada", "ada@example.org", "correct horse")
ada.groups.set([editors, writers])
User.objects.create_superuser("root", "root@example.org", "battery staple", id=100)
User.objects.create_user("gone", "gone@example.org", "correct horse", is_active=False)
# Somebody who signs in elsewhere has a password that nothing matches.
User.objects.create_user("sso", "sso@example.org")
User.objects.create(username="old", password=make_password("correct horse", hasher="scrypt"))
